"""Text of strangers meets linear parsers only: four times the text costs four times the processor time, not sixteen."""

import json
from collections.abc import Callable

import pytest

from porchflow.activities.rendering.kptfile_mirror import is_rendered
from porchflow.api.crontab import parse_crontab
from porchflow.api.git_address import without_secrets
from porchflow.api.limits import PATH_BYTES
from porchflow.content.packages.bodies import parse as parse_body
from porchflow.content.serving.selectors import read_selection
from porchflow.functions.builtin.apply_setters import derive, setters_in
from porchflow.functions.builtin.catalog import BUILTINS, find
from porchflow.functions.builtin.search_replace import path_matches
from porchflow.functions.builtin.toolkit.fields import spec
from porchflow.functions.builtin.toolkit.label_selectors import matches
from porchflow.functions.builtin.toolkit.patterns import Pattern
from porchflow.functions.builtin.toolkit.replacement_paths import split as split_path
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.functions.builtin.toolkit.setter_comments import put_comments
from porchflow.functions.calls import porch_failures, status_words
from porchflow.functions.pods.pod_limits import parse_duration
from porchflow.functions.registry.references import parse_reference
from porchflow.functions.registry.session import parameters_of
from porchflow.gitrepo.refs import PackageLocation, branch_ref, parse_tag_ref
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.ssh.known_hosts import KnownHosts
from porchflow.gitrepo.store.commit_messages import parse_annotations
from porchflow.kpt.format.images import parse_image
from porchflow.kpt.format.kptfile import Function, Kptfile, Pipeline
from porchflow.kpt.format.kptfile import parse as parse_kptfile
from porchflow.kpt.format.krmignore import ignored
from porchflow.kpt.format.resource_list import split_list
from porchflow.kpt.merge.documents import parse_file
from porchflow.kpt.merge.resource_identity import identity_of, unchanged
from porchflow.kpt.merge.update import UpdateStrategy, update_package
from porchflow.kpt.render.pipeline_rules import check_pipeline
from porchflow.kpt.render.versions import Constraint, parse_version
from porchflow.watcher.indexes.places import heard_place
from porchflow.watcher.webhooks.payloads import read_push
from porchflow.yamltext.document import Document
from porchflow.yamltext.line_comments import adopt
from porchflow.yamltext.nodes import compose
from porchflow.yamltext.scalars import double_quoted, plain_is_safe, resolve_plain
from porchflow.yamltext.split import join, split
from tests.security.growth import MOST, SIZES, TIMES, Parser, growth

UNITS = {
    "letters": "a",
    "digits": "1",
    "brackets": "[",
    "closing brackets": "]",
    "parentheses": "(",
    "opened and spaced": " (",
    "braces": "{",
    "references": "${",
    "blanks": " ",
    "tabs": "\t",
    "blanks and a letter": "    a",
    "hashes": "#",
    "comments": " # ",
    "merge comments": "#kpt-merge:a",
    "blank merge comments": "# kpt-merge: ",
    "stars": "*",
    "stars and letters": "*a",
    "deep stars": "**/",
    "slashes": "/",
    "single quotes": "'",
    "pairs of quotes": "''",
    "double quotes": '"',
    "backslashes": "\\",
    "escaped quotes": '\\"',
    "colons": ":",
    "keys": "a: ",
    "dashes": "-",
    "items": "- ",
    "commas": ",",
    "equations": "a=",
    "operators": "> ",
    "bars": "|",
    "dots": ".",
    "parents": "../",
    "at signs": "@",
    "schemes": "a://",
    "underscores": "_",
    "question marks": "?",
    "exclamation marks": "!",
    "anchors": "&a ",
    "aliases": "*a ",
    "tags": "!!a ",
    "percent": "%",
    "lines": "\n",
    "lines of Windows": "\r\n",
    "returns": "\r",
    "lines of Unicode": "\u2028",
    "lines of control": "\x85",
    "blank lines": " \n",
    "lines of letters": "a\n",
    "lines of dashes": "---\n",
    "lines of dots": "...\n",
    "lines of comments": "#a\n",
    "arrows": "-->\n",
    "lines of items": "- a\n",
    "items and comments": "- a # b\n",
    "lines of directives": "%TAG !a! b\n",
    "annotations": 'kpt:{"a"\n',
    "accents": "\xe9",
    "wide": "\U0001f600",
}
"""What is repeated."""


def _document(text: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: # {text}\n  name: x # c{text}x\n"


def _function(name: str, config: Callable[[str], str], value: Callable[[str], str] = lambda _: "x") -> Parser:
    """A builtin function with a text in its configuration, or in a resource."""

    def parse(text: str) -> object:
        item = f"apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: c}}\n  data: {{a: {value(text)}}}\n"
        head = f"kind: ResourceList\nitems:\n- {item}functionConfig:\n  {config(text)}\n"
        return execute(BUILTINS[name].run, head.encode())

    return parse


def _quoted(text: str) -> str:
    return json.dumps(text)


def _data(key: str) -> Callable[[str], str]:
    return lambda text: f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {{{key}: {_quoted(text)}}}}}"


def _fixed(**data: str) -> Callable[[str], str]:
    return lambda _: "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: " + json.dumps(data) + "}"


def _edited(text: str) -> object:
    document = Document(f"a: {_quoted(text)}\nb: 1 # {text}\nc: [1, 2]\n")
    return document.edit({"a": text + "x", "b": 2, "c": [2]})


def _dumped(text: str) -> object:
    return Document("a: 1\n").edit({"a": text, text[:900]: 1})


def _known_hosts(text: str) -> object:
    hosts = KnownHosts(f"{text} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6l\n")
    return hosts.keys("a" * 250 + ".example.com")


def _merged(text: str) -> object:
    sides = [{"Kptfile": b"", "a.yaml": _document(f"{text}{end}").encode()} for end in ("", "1", "2")]
    for side in sides:
        side["Kptfile"] = b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: p\n"
    return update_package(UpdateStrategy.RESOURCE_MERGE, base=sides[0], upstream=sides[1], local=sides[2])


def _unchanged(text: str) -> object:
    layout = f"metadata: {{name: x}} # c{text}x\n"
    return unchanged(Document(layout), Document(f"metadata:\n  name: x # c{text}x\n"))


PARSERS: dict[str, Parser] = {
    "krmignore": ignored,
    "krmignore, closed": lambda text: ignored(f"{text}x"),
    "path of a krmignore": lambda text: ignored("**/a*b*c\n*.d\n[!x]*y\n")(text[:PATH_BYTES]),
    "YAML": compose,
    "YAML, value": lambda text: compose(f"a: {text}\n"),
    "YAML, value and key": lambda text: compose(f"a: {text}\nb: 1\n"),
    "YAML, key": lambda text: compose(f"{text}: a\n"),
    "YAML, item": lambda text: compose(f"a:\n- {text}\n"),
    "YAML, block": lambda text: compose("a: |\n  " + text.replace("\n", "\n  ") + "\nb: 1\n"),
    "YAML, folded": lambda text: compose("a: >-\n  " + text.replace("\n", "\n  ") + "\nb: 1\n"),
    "YAML, single quotes": lambda text: compose(f"a: '{text}' x\n"),
    "YAML, double quotes": lambda text: compose(f'a: "{text}" x\n'),
    "YAML, brackets": lambda text: compose(f"a: [{text}]\n"),
    "YAML, comment": lambda text: compose(f"a: 1 # {text}\nb: 1\n"),
    "YAML, tag": lambda text: compose(f"a: !{text} 1\n"),
    "YAML, documents": lambda text: join(split(text)),
    "YAML, behind a separator": lambda text: split(f"---{text}\na: 1\n"),
    "YAML, contents": lambda text: [part.has_content for part in split(text)],
    "YAML, plain scalar": resolve_plain,
    "YAML, written plain": lambda text: plain_is_safe(text, flow=True),
    "YAML, written in quotes": double_quoted,
    "YAML, edited": _edited,
    "YAML, dumped": _dumped,
    "YAML, comments of an answer": lambda text: adopt(
        Document("a: 1\nb: 2\n"), Document(f"a: 1 # {text}\nb: 2 #{text}\n")
    ),
    "resource list": lambda text: split_list(text.encode()),
    "resource list, item": lambda text: split_list(f"kind: ResourceList\nitems:\n- {text}\n".encode()),
    "resource list, by nodes": lambda text: split_list(
        f"{{kind: ResourceList, items: [{{a: {_quoted(text)}}}, 1]}}".encode(), by_nodes=True
    ),
    "Kptfile": parse_kptfile,
    "Kptfile, name": lambda text: parse_kptfile(
        f"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: {_quoted(text)}\n"
    ),
    "Kptfile, rendered": lambda text: is_rendered({"Kptfile": text.encode()}),
    "image of a pipeline": lambda text: check_pipeline(
        Kptfile(pipeline=Pipeline(mutators=[Function(image=text)])), "Kptfile", {}
    ),
    "image": parse_reference,
    "image, tag": parse_image,
    "image, builtin": lambda text: find(text, ()),
    "version": parse_version,
    "constraint": Constraint,
    "constraint, filled": lambda text: Constraint(text[:256]).holds,
    "merge, comments": _unchanged,
    "merge, identity": lambda text: identity_of(Document(f"metadata: # kpt-merge: {text}\n  name: x\n")),
    "merge, package": _merged,
    "merge, file": lambda text: parse_file("local", "a.yaml", text.encode()),
    "setters of a pattern": setters_in,
    "setters of a value": lambda text: derive("${a}-${b}${c}", text),
    "setters of a value by a long pattern": lambda text: derive(f"{text}}}", text),
    "setters of both": lambda text: derive("${a}x" * 90, text),
    "apply-setters": _function(
        "apply-setters", _data("a"), lambda text: f"x # kpt-set: {text.splitlines()[0] if text.splitlines() else ''}"
    ),
    "create-setters": _function("create-setters", _data("a"), _quoted),
    "list-setters": _function("list-setters", _data("a"), _quoted),
    "search-replace, pattern": _function("search-replace", _data("by-value-regex")),
    "search-replace, files": _function("search-replace", _data("by-file-path")),
    "search-replace, path": _function("search-replace", _data("by-path")),
    "search-replace, value": _function(
        "search-replace", _fixed(**{"by-value-regex": "(a*)*b", "put-value": "${1}"}), _quoted
    ),
    "search-replace, comment": _function(
        "search-replace", lambda text: _fixed(**{"by-path": "data.a", "put-comment": text})(text)
    ),
    "set-namespace": _function("set-namespace", _data("namespace"), _quoted),
    "set-image": _function("set-image", _data("name"), _quoted),
    "set-labels": _function("set-labels", _data("a"), _quoted),
    "set-annotations": _function("set-annotations", _data("a"), _quoted),
    "ensure-name-substring": _function("ensure-name-substring", _data("prepend"), _quoted),
    "kubeconform": _function("kubeconform", _data("skip_kinds"), _quoted),
    "path of a field": spec,
    "path of a replacement": split_path,
    "path of search-replace": lambda text: path_matches("a.b.c", text),
    "long path of search-replace": lambda text: path_matches(text, "a.*.**.b"),
    "both paths of search-replace": lambda text: path_matches(text, text),
    "comments put": lambda text: put_comments("a: 1\nb: [1, {c: 2}]\n", {("a",): text.replace("\n", " ")}),
    "pattern": Pattern,
    # A pattern that looks to the end of the text for each of its matches is quadratic by what is asked: functions with
    # patterns of users run in processes that are killed when their time is over.
    "pattern, searched": lambda text: list(Pattern("(a|aa)*b").matches(text)),
    "pattern, replaced": lambda text: Pattern("a").replaced("a", text),
    "selector of labels": lambda text: matches(text, {"a": "b"}),
    "selector of fields": lambda text: read_selection({"fieldSelector": text}),
    "selector of fields, value": lambda text: read_selection({"fieldSelector": f"metadata.name={text}"}),
    "body": lambda text: parse_body(text.encode(), "application/json"),
    "body as YAML": lambda text: parse_body(text.encode(), "application/yaml"),
    "ref": branch_ref,
    "ref of a tag": lambda text: parse_tag_ref(f"refs/tags/{text}/v1"),
    "package name": lambda text: PackageLocation("", text, "v1").check_new(),
    "workspace name": lambda text: PackageLocation("", "a", text).check_new(),
    "address": Remote,
    "address of HTTP": lambda text: Remote(f"https://{text}").display,
    "address of SSH": lambda text: Remote(f"git@{text}:x").address,
    "words of a Git server": without_secrets,
    "words of a Git server with an address": lambda text: without_secrets(f"cannot fetch https://a:b@{text}"),
    "annotations of a commit": parse_annotations,
    "annotation of a commit": lambda text: [each.number for each in parse_annotations(f"kpt:{text}\nkpt:{{}}")],
    "revision of a commit": lambda text: [
        each.number for each in parse_annotations(f'kpt:{{"package":"a","revision":{_quoted(text)}}}')
    ],
    "known hosts": _known_hosts,
    "known hosts, lines": KnownHosts,
    "webhook": lambda text: read_push({"X-GitHub-Event": "push"}, text.encode()),
    "webhook, ref": lambda text: read_push(
        {"X-GitHub-Event": "push"}, json.dumps({"ref": text, "repository": {"url": text}}).encode()
    ),
    "webhook, address": heard_place,
    "failure of Porch's runner": lambda text: porch_failures.read("i", text),
    "failure of Porch's runner, told": lambda text: porch_failures.read(
        "i", f'failed to execute function "i": x ({text}'
    ),
    "failure of Porch's runner, panic": lambda text: porch_failures.read("i", f"{text}panicked with"),
    "sizes of a runner": lambda text: status_words.sizes_in(f"larger than max ({text}"),
    "challenge of a registry": parameters_of,
    "duration": parse_duration,
    "schedule": parse_crontab,
    "schedule, every": lambda text: parse_crontab(f"@every {text}"),
}


@pytest.mark.parametrize("parser", PARSERS)
def test_processor_time_grows_with_the_text(parser: str) -> None:
    parse = PARSERS[parser]
    slow = []
    for name, unit in UNITS.items():
        factor, size = growth(parse, lambda size, unit=unit: unit * (size // len(unit)))  # type: ignore[misc]
        if factor > MOST:
            slow.append(f"{name} ({size} characters): {TIMES} times the text takes {factor:.1f} times as long")
    assert not slow, "\n".join(slow)


def test_what_is_quadratic_is_found() -> None:
    """The measure itself: a parser that cuts its text character by character."""

    def quadratic(text: str) -> int:
        return sum(text.count("x", at) for at in range(0, len(text), 8))

    factor, size = growth(quadratic, lambda size: "a" * size)
    assert factor > MOST
    assert size <= SIZES[-1]
