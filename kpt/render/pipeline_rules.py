"""Checks of a pipeline before any of its functions runs; the messages are kpt's.

Source: docs/reference/kptfile.md, "Rules for a pipeline".
"""

import re
from collections.abc import Mapping
from posixpath import normpath

from porchflow.kpt.format.kptfile import Function, Kptfile
from porchflow.kpt.format.krm import krm_problem
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.quoting import shown

_DOMAIN = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[a-zA-Z0-9]{{64}})?",
    re.ASCII,
)

_LONGEST_VALUE = 300

Configs = Mapping[str, list[Value]]
"""Values of the documents of each KRM file of a package, by path relative to the package."""


def check_pipeline(kptfile: Kptfile, path: str, configs: Configs) -> None:
    """Check every function of a package's pipeline.

    Args:
        kptfile: The Kptfile.
        path: Path of the Kptfile, for errors.
        configs: The files that `configPath` may name.

    Raises:
        InvalidPackage: The first offence, with field, value and reason as `kpt fn render` prints them.
    """
    for kind in ("mutators", "validators"):
        functions: list[Function] = getattr(kptfile.pipeline, kind)
        for index, function in enumerate(functions):
            found = _offence(function, configs)
            if found:
                field, value, reason = found
                raise InvalidPackage(path, _text(f"pipeline.{kind}[{index}]{field}", value, reason))


def _text(field: str, value: str, reason: str) -> str:
    lines = ["Kptfile is invalid:", f"Field: `{field}`"]
    if value:
        lines.append(f'Value: "{shown(value, _LONGEST_VALUE)}"')
    return "\n".join([*lines, f"Reason: {reason}"])


def _offence(function: Function, configs: Configs) -> tuple[str, str, str] | None:
    """Return field below the function, value and reason of the first problem; None if there is none."""
    if not function.image and not function.exec:
        # The spelling is kpt's; tools compare it.
        return "", "", "must specify a functon (`image` or `exec`) to execute"
    if function.image and function.exec:
        return "", "", "must not specify both `image` and `exec` at the same time"
    if function.image and not _IMAGE.fullmatch(function.image):
        return ".image", function.image, f'function name "{shown(function.image, _LONGEST_VALUE)}" is invalid'
    if function.config_map and function.config_path:
        return "", "", "functionConfig must not specify both `configMap` and `configPath` at the same time"
    if function.config_path:
        reason = _config_path_problem(function.config_path, configs)
        return (".configPath", function.config_path, reason) if reason else None
    return None


def _config_path_problem(path: str, configs: Configs) -> str:
    if not path.strip():
        return "path must not be empty"
    if path.startswith("/"):
        return "path must be relative"
    clean = normpath(path)
    if ".." in clean.split("/"):
        return "path must not be outside the package"
    documents = configs.get(clean)
    if documents is None:
        return "functionConfig must exist in the current package"
    if len(documents) != 1:
        return _wrong_count(path, len(documents))
    problem = krm_problem(clean, documents[0])
    return f'functionConfig "{path}": {problem}' if problem else ""


def _wrong_count(path: str, count: int) -> str:
    if count == 0:
        return f'functionConfig "{path}" must not be empty'
    return f'functionConfig "{path}" must not contain more than one config, got {count}'
