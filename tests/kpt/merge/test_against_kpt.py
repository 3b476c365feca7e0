"""Our merge and kpt's, on the same packages: the same values, or a reason why not."""

import json
from functools import cache
from typing import Any

import pytest
import yaml

from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.kpt.format.files import is_krm
from porchflow.kpt.merge.update import update_package
from porchflow.kpt.package_errors import CONTENT_ERRORS
from porchflow.yamltext.document import load
from porchflow.yamltext.split import split
from porchflow.yamltext.yaml_error import YamlError
from tests.kpt.merge.kpt_cases import CASES, DATA, Case

ANSWERS = json.loads((DATA / "kpt_answers.json").read_text(encoding="utf-8"))
REASONS = {
    name: each["reason"]
    for each in yaml.safe_load((DATA / "kpt_differences.yaml").read_text(encoding="utf-8"))
    for name in each["cases"]
}
REFUSED = "refused"


@cache
def ours(name: str) -> Any:
    case = CASES[name]
    try:
        outcome = update_package(
            UpdateStrategy(case.strategy),
            base=_bytes(case.base),
            upstream=_bytes(case.upstream),
            local=_bytes(case.local),
        )
    except CONTENT_ERRORS:
        return REFUSED
    return values({path: content.decode() for path, content in outcome.files.items()})


def kpts(name: str) -> Any:
    answer = ANSWERS[name]
    return REFUSED if "error" in answer else values(answer["files"])


def values(files: dict[str, str]) -> dict[str, Any]:
    """What the files mean, whatever their layout."""
    return {path: _value(text) if is_krm(path) else text for path, text in files.items()}


def _value(text: str) -> Any:
    try:
        return [load(part.body) for part in split(text) if part.has_content]
    except YamlError:
        return text


def _bytes(side: dict[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in side.items()}


@pytest.mark.parametrize("name", [name for name in CASES if name not in REASONS])
def test_the_result_is_kpts(name: str) -> None:
    assert ours(name) == kpts(name)


@pytest.mark.parametrize("name", REASONS)
def test_a_difference_still_is_one(name: str) -> None:
    assert ours(name) != kpts(name), f"no difference any more: {REASONS[name]}"


def test_every_case_has_an_answer() -> None:
    assert set(ANSWERS) == set(CASES)
    assert len(CASES) > 100


@pytest.mark.parametrize("name", CASES)
def test_an_untouched_side_stays_byte_by_byte(name: str) -> None:
    """Of the same packages: with one side unchanged there is nothing to merge."""
    case: Case = CASES[name]
    if case.strategy != "resource-merge":
        return
    base, upstream, local = _bytes(case.base), _bytes(case.upstream), _bytes(case.local)
    strategy = UpdateStrategy.RESOURCE_MERGE
    assert update_package(strategy, base=base, upstream=dict(base), local=local).files == local
    assert update_package(strategy, base=base, upstream=upstream, local=dict(upstream)).files == upstream
