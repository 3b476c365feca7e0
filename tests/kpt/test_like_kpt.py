"""What kpt v1.0.0-beta.62.1 made of packages, and what porchflow makes of them; see `tests.kpt.like_kpt`."""

import json
from typing import Any

import pytest

from tests.kpt.like_kpt import CASES, RECORDED, ours

DELIBERATE = {"add-absolute in the root": {"/new.yaml": "new.yaml"}}
"""Where functions are given another path than kpt's; see docs/guides/functions.md."""

REFUSED = {"delete-all in the root", "delete-all in a subpackage"}
"""Where a function drops the Kptfile of its own package, which kpt lets it."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    return found


def test_every_case_is_recorded(recorded: dict[str, Any]) -> None:
    assert recorded.keys() == CASES.keys()


@pytest.mark.parametrize("name", [name for name in CASES if name not in REFUSED])
async def test_it_is_rendered_as_kpt_does(recorded: dict[str, Any], name: str) -> None:
    wanted = json.dumps(recorded[name])
    for kpts, our in DELIBERATE.get(name, {}).items():
        assert kpts in wanted
        wanted = wanted.replace(f"{kpts} ", f"{our} ")
    assert await ours(CASES[name]) == json.loads(wanted)


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_what_kpt_lets_a_function_do_to_its_own_kptfile_fails(recorded: dict[str, Any], name: str) -> None:
    assert recorded[name]["ok"]
    assert not (await ours(CASES[name]))["ok"]
