"""docs/reference/limits.md says what api/limits.py says, and each limit counts somewhere."""

import re
from pathlib import Path

import pytest

from porchflow.api import limits
from porchflow.cli.limits import PAGE, page

ROOT = Path(__file__).parents[2]
ROOMS = (
    "activities",
    "api",
    "cli",
    "content",
    "functions",
    "gitrepo",
    "kpt",
    "kube",
    "repositories",
    "watcher",
    "yamltext",
)
NAMES = sorted(name for name in vars(limits) if name.isupper() and name not in {"KIB", "MIB"})


def test_the_page_is_what_the_module_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m porchflow.cli.limits`"


def test_every_limit_has_a_meaning() -> None:
    assert re.findall(r"^\| `(\w+)` \| [0-9,]+(?: [KM]iB)? \| \S.*\. \|$", page(), re.MULTILINE) != []
    assert sorted(re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_is_used(name: str) -> None:
    texts = (file.read_text() for room in ROOMS for file in (ROOT / room).rglob("*.py") if file.name != "limits.py")
    assert any(re.search(rf"\b{name}\b", text) for text in texts)
