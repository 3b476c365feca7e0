"""The generator: models to structural schemas, files that are fresh."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import ConfigDict, Field

from porchflow.api.crd import (
    DEFINITIONS,
    FOLDER,
    custom_resource_definition,
    main,
    manifests,
    stale,
    structural_schema,
    write,
)
from porchflow.api.models.base import ATOMIC, INT64, ApiModel
from porchflow.api.models.definition import Rule, checked, label_path
from porchflow.api.models.functionconfig import FunctionConfig
from porchflow.api.models.packagerevision import NEXT_LIFECYCLES, Lifecycle


class Colour(StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class Wheel(ApiModel):
    """A wheel."""

    model_config = ConfigDict(json_schema_extra=checked(Rule("self.size > 0", "too small", field=".size")))

    size: int = Field(description="In inches.", json_schema_extra=INT64)


class Bicycle(ApiModel):
    """A bicycle,
    as a model.
    """

    colour: Colour | None = Field(None, description="Its colour.")
    main_use: str = Field("Commuting", description="What for.")
    nickname: str = ""
    kind: Literal["city"] | None = None
    bought: datetime | None = None
    light: bool = False
    front: Wheel | None = Field(None, description="The wheel in front.")
    spare: list[Wheel] = Field(default_factory=list, json_schema_extra=ATOMIC)
    labels: dict[str, str] = Field(default_factory=dict)


class TestStructuralSchema:
    fields: dict[str, Any] = structural_schema(Bicycle)["properties"]

    def test_descriptions_come_from_the_models(self) -> None:
        assert structural_schema(Bicycle)["description"] == "A bicycle, as a model."
        assert self.fields["mainUse"]["description"] == "What for."
        assert self.fields["front"]["description"] == "The wheel in front."
        assert self.fields["spare"]["items"]["description"] == "A wheel."

    def test_names_are_those_on_the_wire(self) -> None:
        assert list(self.fields) == [
            "colour",
            "mainUse",
            "nickname",
            "kind",
            "bought",
            "light",
            "front",
            "spare",
            "labels",
        ]

    def test_only_defaults_that_say_something_are_kept(self) -> None:
        assert {name: field["default"] for name, field in self.fields.items() if "default" in field} == {
            "mainUse": "Commuting"
        }

    def test_an_optional_field_is_the_thing_itself(self) -> None:
        assert self.fields["colour"] == {"description": "Its colour.", "type": "string", "enum": ["Red", "Blue"]}
        assert self.fields["kind"] == {"type": "string", "enum": ["city"]}
        assert self.fields["bought"] == {"type": "string", "format": "date-time"}

    def test_a_reference_is_written_out(self) -> None:
        assert self.fields["front"] == {
            "description": "The wheel in front.",
            "type": "object",
            "required": ["size"],
            "properties": {"size": {"description": "In inches.", "type": "integer", "format": "int64"}},
            "x-kubernetes-validations": [{"rule": "self.size > 0", "message": "too small", "fieldPath": ".size"}],
        }

    def test_lists_and_maps(self) -> None:
        assert self.fields["spare"]["x-kubernetes-list-type"] == "atomic"
        assert self.fields["labels"] == {"type": "object", "additionalProperties": {"type": "string"}}


class TestDefinitions:
    @pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
    def test_every_field_is_described(self, definition: Any) -> None:
        schema = custom_resource_definition(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        known = {".apiVersion", ".kind", ".metadata"}
        assert [path for path, field in _fields(schema, "") if path not in known and not field.get("description")] == []

    def test_every_lifecycle_can_go_on(self) -> None:
        assert set(NEXT_LIFECYCLES) == set(Lifecycle)
        assert {step for steps in NEXT_LIFECYCLES.values() for step in steps} == set(Lifecycle)

    def test_dots_in_the_key_of_a_label_are_escaped(self) -> None:
        assert label_path("a.b/c") == r".metadata.labels['a\.b/c']"

    def test_a_function_config_is_read(self) -> None:
        spec = {"image": "set-labels", "binaryExecutor": {"tags": ["v0.2"], "path": "set-labels"}}
        read = FunctionConfig.model_validate({"metadata": {"name": "set-labels"}, "spec": spec})
        assert read.spec.binary_executor is not None
        assert read.spec.binary_executor.tags == ["v0.2"]
        assert read.spec.pod_executor is None


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from _fields(field, f"{path}.{name}")
    if schema.get("items", {}).get("properties"):
        yield from _fields(schema["items"], f"{path}[]")


class TestFiles:
    def test_those_of_the_repository_are_fresh(self) -> None:
        assert stale(FOLDER) == ""

    def test_each_is_one_plain_manifest(self) -> None:
        for name, text in manifests().items():
            crd = yaml.safe_load(text)
            assert crd["kind"] == "CustomResourceDefinition"
            assert name == f"{crd['spec']['group']}_{crd['spec']['names']['plural']}.yaml"
            assert [word for word in ("&id", "$ref", "title:") if word in text] == []

    def test_written_ones_are_fresh(self, tmp_path: Path) -> None:
        write(tmp_path / "crds")
        assert stale(tmp_path / "crds") == ""
        assert {path.name for path in (tmp_path / "crds").iterdir()} == set(manifests())

    def test_a_kind_that_is_gone_goes(self, tmp_path: Path) -> None:
        (tmp_path / "gone.yaml").write_text("kind: CustomResourceDefinition\n")
        assert "-kind: CustomResourceDefinition" in stale(tmp_path)
        write(tmp_path)
        assert not (tmp_path / "gone.yaml").exists()

    def test_the_check_fails_with_a_diff(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--folder", str(tmp_path)]) == 0
        assert main(["--check", "--folder", str(tmp_path)]) == 0
        assert capsys.readouterr().out == ""
        path = tmp_path / "porch.kpt.dev_packagerevisions.yaml"
        path.write_text(path.read_text().replace("- rpkg", "- packages"))
        assert main(["--check", "--folder", str(tmp_path)]) == 1
        told = capsys.readouterr()
        assert "-    - packages\n+    - rpkg\n" in told.out
        assert "run `python -m porchflow.api.crd`" in told.err
