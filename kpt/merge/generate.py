"""Makes `merge_keys.json` from the Kubernetes schemas: `python -m porchflow.kpt.merge.generate [--check]`.

The schemas are those of the library kubernetes-validate, so nothing is fetched. Of every kind the newest Kubernetes
version that has it counts. Only paths to a list that is merged by element are kept.
"""

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).with_name("merge_keys.json")

_FOLDER: Final = re.compile(r"v(\d+)\.(\d+)\.(\d+)-local")
_LIBRARY: Final = "kubernetes-validate"

Field = dict[str, Any]
Types = dict[str, dict[str, Field]]


def generate() -> str:
    """Return the content of the data file.

    Raises:
        FileNotFoundError: The library kubernetes-validate is not installed.
    """
    types: Types = {}
    kinds: dict[str, str] = {}
    for folder in _schema_folders():
        definitions = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
        for name, definition in definitions.items():
            types[_short(name)] = _fields(definition)
            for known in definition.get("x-kubernetes-group-version-kind", []):
                group = known["group"] + "/" if known["group"] else ""
                kinds[f"{group}{known['version']}/{known['kind']}"] = _short(name)
    types = _leading_to_lists(types)
    kinds = {kind: name for kind, name in kinds.items() if set(types.get(name, ())) - {"metadata", "items"}}
    reachable = _reachable(types, [*kinds.values(), _short("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")])
    data = {
        "source": f"{_LIBRARY} {version(_LIBRARY)}",
        "kinds": kinds,
        "types": {name: types[name] for name in reachable},
    }
    return _lines(data)


def _lines(data: Mapping[str, Any]) -> str:
    """Return JSON with one line for each kind and type, so that a diff shows each change as one line."""
    parts = [f'"source": {json.dumps(data["source"])}']
    for part in ("kinds", "types"):
        entries = (
            f"  {json.dumps(key)}: {json.dumps(item, sort_keys=True)}" for key, item in sorted(data[part].items())
        )
        parts.append(f'"{part}": {{\n' + ",\n".join(entries) + "\n }")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def _schema_folders() -> list[Path]:
    """Return the folders of schemas, oldest Kubernetes version first."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{_LIBRARY} is not installed")
    found = []
    for folder in (Path(spec.origin).parent / "kubernetes-json-schema").iterdir():
        match = _FOLDER.fullmatch(folder.name)
        if match is not None:
            found.append((tuple(map(int, match.groups())), folder))
    return [folder for _, folder in sorted(found)]


def _short(name: str) -> str:
    return name.rpartition("#/$defs/")[2].removeprefix("io.k8s.")


def _fields(definition: Mapping[str, Any]) -> dict[str, Field]:
    fields = {name: _field(schema) for name, schema in definition.get("properties", {}).items()}
    return {name: field for name, field in fields.items() if field}


def _field(schema: Mapping[str, Any]) -> Field:
    """Return the relevant facts of a field: `of`, the type of it, its elements or values, and its elements' keys."""
    items = schema.get("items") or schema.get("additionalProperties")
    inner = items if isinstance(items, Mapping) else schema
    field: Field = {"of": _short(inner["$ref"])} if "$ref" in inner else {}
    if "additionalProperties" in schema and field:
        field["map"] = True
    merged = "merge" in schema.get("x-kubernetes-patch-strategy", "").split(",")
    kind = schema.get("x-kubernetes-list-type")
    if "x-kubernetes-list-map-keys" in schema and (merged or kind == "map"):
        field["keys"] = schema["x-kubernetes-list-map-keys"]
    elif "x-kubernetes-patch-merge-key" in schema and merged:
        field["keys"] = [schema["x-kubernetes-patch-merge-key"]]
    elif schema.get("type") and "items" in schema and (merged or kind == "set"):
        field["set"] = True
    return field


def _leading_to_lists(types: Types) -> Types:
    """Return the types and fields below which there is a list that is merged by element."""
    useful = {name for name, fields in types.items() if any(_is_merged(field) for field in fields.values())}
    while True:
        more = {
            name
            for name, fields in types.items()
            if name not in useful and any(field.get("of") in useful for field in fields.values())
        }
        if not more:
            break
        useful |= more
    return {
        name: {key: field for key, field in types[name].items() if _is_merged(field) or field.get("of") in useful}
        for name in useful
    }


def _is_merged(field: Field) -> bool:
    return "keys" in field or "set" in field


def _reachable(types: Types, roots: Sequence[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in types and name not in found:
            found.add(name)
            waiting += [field["of"] for field in types[name].values() if "of" in field]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data file, or with `--check` compare it with the text that would be written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only compare, and fail if the file is out of date")
    content = generate()
    if not parser.parse_args(arguments).check:
        TARGET.write_text(content, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == content:
        return 0
    sys.stderr.write(f"{TARGET.name} is out of date: run python -m porchflow.kpt.merge.generate\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
