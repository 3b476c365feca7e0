"""Makes the CustomResourceDefinitions in `deploy/crds/` from the models: `python -m porchflow.api.crd [--check]`."""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from porchflow.api.models.definition import Column, ResourceDefinition
from porchflow.api.models.functionconfig import FUNCTION_CONFIG
from porchflow.api.models.packagerevision import PACKAGE_REVISION
from porchflow.api.models.repository import REPOSITORY

Schema = dict[str, Any]

DEFINITIONS: Final = (PACKAGE_REVISION, REPOSITORY, FUNCTION_CONFIG)

FOLDER: Final = Path(__file__).parent.parent / "deploy" / "crds"

_HEADER = "# Made from the models by `python -m porchflow.api.crd`. Change those, not this.\n"

_KEYWORDS: Final = (
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
    "anyOf",
)
"""Keys of a JSON schema that a structural schema keeps as they are."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the structural OpenAPI schema of a model.

    References are resolved, optional fields are merely not required, and only significant defaults (not empty, zero or
    false) are kept: the API server would write every other one into every object.

    Args:
        model: A pydantic model; its field names on the wire are its aliases.
    """
    whole = model.model_json_schema(by_alias=True)
    return _structural(whole, whole.get("$defs", {}))


def _structural(schema: Mapping[str, Any], types: Mapping[str, Schema]) -> Schema:
    schema = _resolved(schema, types)
    result: Schema = {}
    if "description" in schema:
        result["description"] = " ".join(schema["description"].split())
    result.update({key: schema[key] for key in _KEYWORDS if key in schema})
    if not result.get("default"):
        result.pop("default", None)
    if schema.get("required"):
        result["required"] = sorted(schema["required"])
    if "properties" in schema:
        result["properties"] = {name: _structural(field, types) for name, field in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            result[key] = _structural(schema[key], types)
    result.update({key: value for key, value in schema.items() if key.startswith("x-kubernetes-")})
    return result


def _resolved(schema: Mapping[str, Any], types: Mapping[str, Schema]) -> Schema:
    """Return a schema with its references, its `null` alternative and its `const` written out."""
    merged = dict(schema)
    if "$ref" in merged:
        merged = types[merged.pop("$ref").rpartition("/")[2]] | merged
    alternatives = merged.get("anyOf", [])
    if {"type": "null"} in alternatives:
        [alternative] = [one for one in alternatives if one != {"type": "null"}]
        del merged["anyOf"]
        merged = _resolved(alternative, types) | merged
    if "const" in merged:
        merged["enum"] = [merged.pop("const")]
    return merged


def custom_resource_definition(definition: ResourceDefinition) -> dict[str, Any]:
    """Return the manifest of a kind's CustomResourceDefinition (apiextensions.k8s.io/v1)."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition.name},
        "spec": {
            "group": definition.group,
            "names": _names(definition),
            "scope": "Namespaced",
            "versions": [_version(definition)],
        },
    }


def _names(definition: ResourceDefinition) -> dict[str, Any]:
    names: dict[str, Any] = {
        "kind": definition.kind,
        "listKind": f"{definition.kind}List",
        "plural": definition.plural,
        "singular": definition.kind.lower(),
    }
    if definition.short_names:
        names["shortNames"] = list(definition.short_names)
    return names


def _version(definition: ResourceDefinition) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": definition.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in definition.columns],
    }
    if definition.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable_fields]
    version["schema"] = {"openAPIV3Schema": _object_schema(definition.model)}
    return version


def _object_schema(model: type[BaseModel]) -> Schema:
    schema = structural_schema(model)
    # The API server itself defines metadata, and refuses a schema with more about it.
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return entry | {"priority": 1} if column.wide else entry


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out again: an alias in a manifest would puzzle its readers."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - the signature of PyYAML
        return True


def manifests() -> dict[str, str]:
    """Return the text of each file in `deploy/crds/`, by file name."""
    return {
        f"{definition.group}_{definition.plural}.yaml": _HEADER
        + yaml.dump(
            custom_resource_definition(definition), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
        )
        for definition in DEFINITIONS
    }


def stale(folder: Path = FOLDER) -> str:
    """Return how the files of a folder differ from the models, as a unified diff; empty when they do not."""
    wanted = manifests()
    found = {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}
    return "".join(
        line if line.endswith("\n") else line + "\n"
        for name in sorted(wanted.keys() | found.keys())
        for line in difflib.unified_diff(
            found.get(name, "").splitlines(keepends=True),
            wanted.get(name, "").splitlines(keepends=True),
            f"{folder.name}/{name}",
            f"{folder.name}/{name} (from the models)",
        )
    )


def write(folder: Path = FOLDER) -> None:
    """Write the files of a folder; a manifest of no kind is removed."""
    wanted = manifests()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m porchflow.api.crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff when a file is stale")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are; default deploy/crds")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.folder)
        return 0
    difference = stale(options.folder)
    if difference:
        sys.stdout.write(difference)
        sys.stderr.write("the CRDs differ from the models; run `python -m porchflow.api.crd`\n")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
