"""Every input that fuzzing found once, and a first one for each target, on every run of the tests."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import NAMES, load

INPUTS = [(name, path) for name in NAMES for path in sorted((CORPUS / name).glob("*"))]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}/{path.name[:20]}" for name, path in INPUTS])
def test_an_input_is_read_or_refused(name: str, path: Path) -> None:
    load(name)(path.read_bytes())


def test_every_target_has_inputs() -> None:
    assert {name for name, _ in INPUTS} == set(NAMES)
    assert {path.name for path in CORPUS.iterdir()} == set(NAMES)
