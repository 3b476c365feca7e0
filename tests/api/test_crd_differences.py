"""Our CRDs against Porch's, field by field: every difference is in docs/porch/crd-differences.md, with its reason."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from porchflow.api.crd import DEFINITIONS, custom_resource_definition
from porchflow.api.models.definition import ResourceDefinition
from tests.api.schemas import Table, differences, documented, table_of

PORCH: dict[str, Table] = yaml.safe_load((Path(__file__).parent / "porch_crds.yaml").read_text())
PAGE = (Path(__file__).parents[2] / "docs" / "porch" / "crd-differences.md").read_text()


def _found(definition: ResourceDefinition) -> dict[str, tuple[str, str]]:
    return differences(PORCH[definition.kind], table_of(custom_resource_definition(definition)))


def _kind(definition: Any) -> str:
    return str(definition.kind)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=_kind)
def test_every_difference_is_documented(definition: ResourceDefinition) -> None:
    rows = documented(PAGE)[definition.kind]
    undocumented = {
        place: said
        for place, said in _found(definition).items()
        if not any(pattern.fullmatch(place) and said == (theirs, ours) for pattern, theirs, ours, _ in rows)
    }
    assert undocumented == {}


@pytest.mark.parametrize("definition", DEFINITIONS, ids=_kind)
def test_every_documented_difference_exists_and_has_a_reason(definition: ResourceDefinition) -> None:
    found = _found(definition)
    for pattern, theirs, ours, why in documented(PAGE)[definition.kind]:
        assert why, f"{pattern.pattern}: no reason"
        matching = {said for place, said in found.items() if pattern.fullmatch(place)}
        assert (theirs, ours) in matching, f"{pattern.pattern}: no such difference any more"


def test_porchs_schemas_are_all_there() -> None:
    assert set(PORCH) == {definition.kind for definition in DEFINITIONS}
    assert len(PORCH["PackageRevision"]) > 90
    assert len(PORCH["Repository"]) > 40
    assert len(PORCH["FunctionConfig"]) > 140


def test_a_difference_in_any_fact_is_found() -> None:
    ours = table_of(custom_resource_definition(DEFINITIONS[0]))
    for place, facts in ours.items():
        for fact in facts:
            changed = {**ours, place: {**facts, fact: "something else"}}
            assert set(differences(ours, changed)) == {place}
        assert set(differences(ours, {key: value for key, value in ours.items() if key != place})) == {place}
