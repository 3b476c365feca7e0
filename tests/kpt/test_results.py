"""What is kept of what functions say: it ends up in the Kptfile, hence in Git, and in every later message."""

import json
from typing import Any

import pytest

from porchflow.api.limits import RENDERING_RESULTS_BYTES, RESULT_CHARACTERS, RESULTS, RESULTS_BYTES
from porchflow.kpt.format.render_status import Step, with_status
from porchflow.kpt.format.results import parse_results


def items(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"message": f"finding {number}", "severity": "error", **fields} for number in range(count)]


def test_as_many_as_fit_are_kept_as_they_are() -> None:
    kept = parse_results(items(RESULTS))
    assert [result.message for result in kept] == [f"finding {number}" for number in range(RESULTS)]


@pytest.mark.parametrize("more", [1, 5000])
def test_more_are_counted(more: int) -> None:
    kept = parse_results(items(RESULTS + more))
    assert len(kept) == RESULTS + 1
    assert kept[-2].message == f"finding {RESULTS - 1}"
    assert (kept[-1].message, kept[-1].severity) == (f"{more} more results were left out", "info")


def test_a_long_message_is_cut_and_says_so() -> None:
    [result] = parse_results([{"message": "x" * (RESULT_CHARACTERS + 12)}])
    assert result.message == "x" * RESULT_CHARACTERS + "… (12 more characters)"


def test_all_results_of_a_function_together_are_bounded() -> None:
    long = {"currentValue": "ü" * RESULT_CHARACTERS, "proposedValue": "ü" * RESULT_CHARACTERS, "path": "spec.x"}
    kept = parse_results(items(100, field=long))
    assert sum(len(result.model_dump_json().encode()) for result in kept) < RESULTS_BYTES + 1000
    assert kept[-1].message == f"{100 - (len(kept) - 1)} more results were left out"
    assert len(kept) > 3


def test_one_result_is_kept_however_long_it_is() -> None:
    tags = {f"tag-{number}": "x" * RESULT_CHARACTERS for number in range(100)}
    kept = parse_results(items(2, tags=tags))
    assert [result.message for result in kept] == ["finding 0", "1 more results were left out"]


@pytest.mark.parametrize(("index", "file"), [(3, {"path": "a.yaml", "index": 3}), (0, {"path": "a.yaml"})])
def test_the_place_in_a_file_gets_into_the_kptfile(index: int, file: dict[str, Any]) -> None:
    results = parse_results([{"message": "m", "severity": "error", "file": {"path": "a.yaml", "index": index}}])
    step = Step(package="", kind="validator", image="check:v1", exit_code=1, results=results)
    status: Any = with_status({}, [step], ok=False, message="failed")["status"]
    [written] = status["renderStatus"]["validationSteps"]
    assert written["results"] == written["errorResults"] == [{"message": "m", "severity": "error", "file": file}]


def test_what_all_functions_say_together_is_bounded() -> None:
    """The functions that failed are heard first, wherever they stand; every function says how much was left out."""
    wordy = parse_results(items(20, field={"currentValue": "x" * 2000}))
    steps = [Step(package="", kind="mutator", image=f"m{number}:v1", results=wordy) for number in range(20)]
    last = Step(package="", kind="validator", image="check:v1", exit_code=1, results=parse_results(items(9)))
    assert sum(result.size for result in wordy) * len(steps) > 2 * RENDERING_RESULTS_BYTES
    status: Any = with_status({}, [*steps, last], ok=False, message="failed")["status"]
    written = status["renderStatus"]
    said = [step["results"] for step in written["mutationSteps"]]
    assert len(json.dumps(said)) < RENDERING_RESULTS_BYTES
    assert [len(results) for results in said[:2]] == [20, 20]
    assert [results[-1]["message"] for results in said[-2:]] == ["20 more results were left out"] * 2
    assert any(1 < len(results) < 20 for results in said), "what still fits of one function is kept"
    [check] = written["validationSteps"]
    assert len(check["results"]) == 9
