"""The page of the custom resources, field by field."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from porchflow.api.crd import DEFINITIONS, custom_resource_definition
from porchflow.cli.reference.tables import code, table

_HEAD: Final = """\
# Custom resources

<!-- Made from the CRDs by `python -m porchflow.cli.reference`. Change the models in api/, not this. -->

For everybody: every field of PackageRevision, Repository and FunctionConfig. `[]` behind a name is an entry of a list,
and `{}` a value of a map. What differs from Porch: [our CRDs and Porch's](../porch/crd-differences.md).
"""

_Schema = Mapping[str, Any]
_RULES: Final = {
    "enum": "one of {}",
    "default": "default {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} entries",
}


def resources_page() -> str:
    """Return the page, from the CRDs of this version."""
    return _HEAD + "".join(map(_section, map(custom_resource_definition, DEFINITIONS)))


def _section(crd: _Schema) -> str:
    spec = crd["spec"]
    [version] = spec["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [f"\n## {spec['names']['kind']}\n\n`apiVersion: {spec['group']}/{version['name']}`\n"]
    for part in ("spec", "status"):
        rows = _rows(schema["properties"].get(part, {}), part)
        parts.append(f"\n### {part} of a {spec['names']['kind']}\n\n" + table(_COLUMNS, rows))
    return "".join(parts)


_COLUMNS: Final = ("field", "type", "rules", "meaning")


def _rows(schema: _Schema, path: str) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield _row(here, field, required=name in required)
        yield from _inside(here, field)


def _inside(path: str, field: _Schema) -> Iterator[tuple[str, ...]]:
    if "items" in field:
        yield from _rows(field["items"], f"{path}[]")
    elif isinstance(field.get("additionalProperties"), Mapping):
        yield from _rows(field["additionalProperties"], f"{path}{{}}")
    else:
        yield from _rows(field, path)


def _row(path: str, field: _Schema, *, required: bool) -> tuple[str, ...]:
    rules = ["required"] if required else []
    rules += [told.format(_value(field[rule])) for rule, told in _RULES.items() if rule in field]
    rules += [each["message"] for each in field.get("x-kubernetes-validations", []) if "message" in each]
    return code(path), _type(field), "; ".join(rules), str(field.get("description", ""))


def _type(field: _Schema) -> str:
    inner = field.get("items") or field.get("additionalProperties")
    if isinstance(inner, Mapping):
        return f"{'list' if 'items' in field else 'map'} of {_type(inner)}"
    return str(field.get("format") or field.get("type") or "any")


def _value(value: object) -> str:
    return ", ".join(code(str(each)) for each in (value if isinstance(value, list) else [value]))
