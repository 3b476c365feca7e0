"""CustomResourceDefinitions as flat tables, so that two of them can be compared field by field."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Facts = dict[str, Any]
Table = dict[str, Facts]

_FACTS = (
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
)


def table_of(crd: Mapping[str, Any]) -> Table:
    """Return what a CustomResourceDefinition says, by field, column or part."""
    spec, [version] = crd["spec"], crd["spec"]["versions"]
    names = {key: value for key, value in spec["names"].items() if key != "categories"}
    table: Table = {
        "resource": {
            **names,
            "name": crd["metadata"]["name"],
            "group": spec["group"],
            "scope": spec["scope"],
            "version": version["name"],
            "served": version["served"],
            "storage": version["storage"],
            "subresources": sorted(version.get("subresources", {})),
        }
    }
    columns = version.get("additionalPrinterColumns", [])
    table["columns"] = {"order": [column["name"] for column in columns if not column.get("priority")]}
    for column in columns:
        table[f"column {column['name']}"] = {key: value for key, value in column.items() if key != "name"}
    for field in version.get("selectableFields", []):
        table[f"selectable {field['jsonPath']}"] = {}
    schema = version["schema"]["openAPIV3Schema"]
    rules = dict(_rules(schema, ""))
    for path, facts in _fields(schema, ""):
        table[path or "."] = facts | ({"rules": sorted(rules[path])} if path in rules else {})
    return table


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Facts]]:
    facts = {key: schema[key] for key in _FACTS if key in schema}
    if facts.get("type") == "array":
        facts.setdefault("x-kubernetes-list-type", "atomic")  # what the API server takes it for
    yield path, facts
    for name, field in schema.get("properties", {}).items():
        yield from _fields(field, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from _fields(schema[key], path + mark)


def _rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what CEL checks, by the field it is about: its value, or its change."""
    found: dict[str, list[str]] = {}
    for rule in schema.get("x-kubernetes-validations", []):
        kind = "change" if "oldSelf" in rule["rule"] else "value"
        found.setdefault(path + rule.get("fieldPath", ""), []).append(kind)
    for name, field in schema.get("properties", {}).items():
        for where, kinds in _rules(field, f"{path}.{name}"):
            found.setdefault(where, []).extend(kinds)
    yield from found.items()


def differences(theirs: Table, ours: Table) -> dict[str, tuple[str, str]]:
    """Return where two tables differ, with what each says there."""
    result = {}
    for place in sorted(theirs.keys() | ours.keys()):
        if place not in theirs or place not in ours:
            result[place] = (_told(theirs.get(place)), _told(ours.get(place)))
            continue
        here, there = theirs[place], ours[place]
        changed = [key for key in sorted(here.keys() | there.keys()) if here.get(key) != there.get(key)]
        if changed:
            result[place] = (_told(_only(here, changed)), _told(_only(there, changed)))
    return result


def _only(facts: Facts, keys: list[str]) -> Facts:
    return {key: facts[key] for key in keys if key in facts}


def _told(facts: Facts | None) -> str:
    if facts is None:
        return "absent"
    return ", ".join(f"{key} {_plain(value)}" for key, value in facts.items()) or "nothing"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return '""' if value == "" else str(value)


def documented(markdown: str) -> dict[str, list[tuple[re.Pattern[str], str, str, str]]]:
    """Return the rows of the tables of a page, by the kind whose section they are in.

    A row is the place (a pattern, `*` stands for anything), what Porch says, what we say, and why.
    """
    rows: dict[str, list[tuple[re.Pattern[str], str, str, str]]] = {}
    kind = ""
    for line in markdown.splitlines():
        if line.startswith("## "):
            kind = line.removeprefix("## ").strip()
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            place, theirs, ours, why = (cell.replace("`", "").replace(r"\|", "|") for cell in cells)
            pattern = re.compile(re.escape(place).replace(r"\*", ".*"))
            rows.setdefault(kind, []).append((pattern, theirs, ours, why))
    return rows
