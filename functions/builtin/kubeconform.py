"""kubeconform v0.1: checks resources against the schemas of Kubernetes.

The schemas come with an installed library, so no network is needed and custom resources have none. Local configuration
is not checked, because it is never applied.

Source: docs/reference/kpt-functions.md, "kubeconform".
"""

import json
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from porchflow.api.limits import SCHEMAS_KEPT
from porchflow.functions.builtin.toolkit.kubernetes_schemas import definitions, read, versions
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, strings
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.nodes import Value

_KEYS = ("ignore_missing_schemas", "skip_kinds", "strict", "kubernetes_version")
_NETWORK_KEYS = ("schema_location", "additional_schema_locations")
_DOMAIN = re.compile(r"^([^./]*)(?:\.[^/]*)?/")


class _Finding(NamedTuple):
    message: str
    field: str = ""


class _Settings(NamedTuple):
    version: str
    strict: bool
    ignore_missing: bool
    skipped: frozenset[str]


def run(call: Call) -> None:
    """Check every item; findings are results, and fail the function."""
    try:
        settings = _read_config(call.config)
    except FunctionError as error:
        call.say(str(error), "error")
        raise
    wrong = 0
    for item in call.items:
        if item.is_local_config or item.group == "kpt.dev" or item.kind in settings.skipped:
            continue
        findings = list(_findings(item, settings))
        wrong += bool(findings)
        for finding in findings:
            _say(call, item, finding)
    if wrong:
        raise FunctionError(f"{wrong} of {len(call.items)} resource(s) do not match their schemas")


def _read_config(config: Value) -> _Settings:
    data = strings(map_of(config, "data"))
    for key in data:
        if key in _NETWORK_KEYS:
            raise FunctionError(f"`{key}` is not supported: schemas come with the function, nothing is fetched")
        if key not in _KEYS:
            raise FunctionError(f"unknown setting `{key}`; those that are known: {', '.join(_KEYS)}")
    return _Settings(
        version=_schema_version(data.get("kubernetes_version", "")),
        strict=_flag(data, "strict"),
        ignore_missing=_flag(data, "ignore_missing_schemas"),
        skipped=frozenset(kind.strip() for kind in data.get("skip_kinds", "").split(",") if kind.strip()),
    )


def _flag(data: dict[str, str], key: str) -> bool:
    text = data.get(key, "false").lower()
    if text not in ("true", "false"):
        raise FunctionError(f"`{key}` must be true or false, not {data[key]!r}")
    return text == "true"


def _schema_version(wanted: str) -> str:
    short = ".".join(wanted.removeprefix("v").split(".")[:2]) or list(versions())[-1]
    if short not in versions():
        raise FunctionError(f"there are no schemas of Kubernetes {wanted}; there are: {', '.join(versions())}")
    return versions()[short]


def _findings(item: Item, settings: _Settings) -> Iterator[_Finding]:
    validator = _validator(settings.version, settings.strict, item.kind.lower(), _short_version(item.api_version))
    if validator is None:
        if not settings.ignore_missing:
            yield _Finding(f"could not find schema for {item.kind} ({item.api_version})")
        return
    missing: dict[str, list[str]] = {}
    for error in sorted(validator.iter_errors(item.value), key=lambda error: error.json_path):
        field = _field(error)
        if error.validator == "required":
            missing.setdefault(field, []).append(str(error.message).split("'")[1])
        else:
            yield _Finding(_message(error), field)
    for field, names in missing.items():
        yield _Finding("missing properties " + ", ".join(f"'{name}'" for name in names), field)


def _short_version(api_version: str) -> str:
    """Return group and version in the form of the schemas' file names: `rbac-v1` for `rbac.authorization.k8s.io/v1`."""
    return _DOMAIN.sub(r"\1-", api_version)


@lru_cache(SCHEMAS_KEPT)
def _validator(folder: str, strict: bool, kind: str, version: str) -> Draft202012Validator | None:  # noqa: FBT001
    if "/" in kind + version:
        return None
    schema = read(f"{folder}-strict" if strict else folder, f"{kind}-{version}")
    if schema is None:
        return None
    return Draft202012Validator(json.loads(schema), registry=_definitions(folder, strict))


@cache
def _definitions(folder: str, strict: bool) -> Registry[Value]:  # noqa: FBT001
    contents = json.loads(definitions(f"{folder}-strict" if strict else folder))
    resource: Resource[Value] = Resource.from_contents(contents)
    return resource @ Registry()


def _message(error: ValidationError) -> str:
    rule: Value = error.validator_value
    if error.validator == "type":
        wanted = rule if isinstance(rule, list) else [rule]
        return f"got {_type_name(error.instance)}, want {' or '.join(sorted(wanted, key=lambda name: name != 'null'))}"
    if error.validator == "additionalProperties":
        allowed = map_of(error.schema, "properties")
        extra = [name for name in map_of(error.instance) if name not in allowed]
        return "additional properties " + ", ".join(f"'{name}'" for name in extra) + " not allowed"
    if error.validator == "enum":
        return "value must be one of " + ", ".join(f"'{value}'" for value in rule)
    return str(error.message)


def _type_name(value: Value) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _field(error: ValidationError) -> str:
    return ".".join(str(step) for step in error.absolute_path)


def _say(call: Call, item: Item, finding: _Finding) -> None:
    metadata = map_of(item.value, "metadata")
    reference = {"apiVersion": item.api_version, "kind": item.kind, "name": item.name}
    if metadata.get("namespace"):
        reference["namespace"] = metadata["namespace"]
    about: dict[str, Value] = {"resourceRef": reference, "file": {"path": item.path, "index": item.index}}
    if finding.field:
        about["field"] = {"path": finding.field}
    call.say(finding.message, "error", **about)
