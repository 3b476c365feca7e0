"""Targets: what functions, runners and registries answer, and what names their images."""

from porchflow.functions.builtin.catalog import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.functions.calls import porch_failures, status_words
from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.references import parse_reference
from porchflow.functions.registry.session import parameters_of
from porchflow.gitrepo.remote.protocol.server_words import clean
from porchflow.kpt.format.resource_list import split_list
from porchflow.kpt.render.versions import Constraint, ConstraintError, parse_version
from porchflow.yamltext.document import Document
from porchflow.yamltext.yaml_error import YamlError
from tests.fuzz.targets import Target, text_of

_FUNCTIONS = sorted(BUILTINS.keys() - {"starlark"})
"""Programs of starlark run in child processes."""


def _resource_list(data: bytes) -> None:
    by_lines = split_list(data)
    by_nodes = split_list(data, by_nodes=True)
    values = [[Document(text).value for text in found.items] for found in (by_lines, by_nodes)]
    assert repr(values[0]) == repr(values[1]), "both ways to cut a list give the same items"


def _function(data: bytes) -> None:
    if data:
        execute(BUILTINS[_FUNCTIONS[data[0] % len(_FUNCTIONS)]].run, data[1:])


def _versions(data: bytes) -> None:
    constraint, _, version = text_of(data).partition("\n")
    parsed = parse_version(version)
    limits = Constraint(constraint)
    if parsed is not None:
        limits.holds(parsed)


def _runner_words(data: bytes) -> None:
    text = text_of(data)
    porch_failures.read("i", text)
    status_words.sizes_in(text)
    parameters_of(text)
    clean(text)


TARGETS = {
    "resource-list": Target(_resource_list, (YamlError,)),
    "functions": Target(_function),
    "image": Target(lambda data: parse_reference(text_of(data)), (ImageNotFound,)),
    "versions": Target(_versions, (ConstraintError,)),
    "runner-words": Target(_runner_words),
}
