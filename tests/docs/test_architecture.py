"""ARCHITECTURE.md leads: it names every room, every folder in one, and nothing that is not there."""

import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
TABLE = PAGE.partition("## Rooms")[2].partition("## What may import what")[0]
PACKAGE = ROOT / "porchflow"


def rooms() -> dict[str, str]:
    """The row of each room."""
    return {row.split("`")[1].rstrip("/"): row for row in TABLE.splitlines() if row.startswith("| `")}


def test_every_room_of_the_package_has_a_row() -> None:
    linked = {path.name for path in PACKAGE.iterdir() if path.is_symlink()}
    assert linked <= rooms().keys()
    assert linked | {"tests", "bench", "soak"} == rooms().keys()


def test_links_lead_to_the_rooms() -> None:
    for link in PACKAGE.iterdir():
        if link.is_symlink():
            assert link.resolve() == ROOT / link.name


def test_every_folder_of_a_room_is_named_in_its_row() -> None:
    for room, row in rooms().items():
        for folder in (ROOT / room).iterdir() if room not in {"tests", "bench", "deploy"} else ():
            if (folder / "__init__.py").exists():
                assert f"`{folder.name}/`" in row, folder


def test_folders_and_modules_that_are_named_exist() -> None:
    named = set(re.findall(r"`((?:[a-z]+/)+(?:[a-z_]+\.py)?)`", PAGE.partition("## Processes")[2]))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_wheel_takes_every_room() -> None:
    taken = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {f"porchflow.{path.name}*" for path in PACKAGE.iterdir() if path.is_symlink()} - {
        "porchflow.deploy*"
    } <= set(taken)


def test_no_folder_is_a_heap() -> None:
    """A folder with more modules is sorted into folders that lead, unless it is a list of like things."""
    lists = {"cli/commands", "functions/builtin"}
    modules = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for room in rooms().keys() - {"tests", "bench", "soak"}
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert lists <= modules.keys()
    assert {folder: count for folder, count in modules.items() if count > 17 and folder not in lists} == {}


def test_a_file_name_leads_to_its_room() -> None:
    rooms_of: dict[str, set[str]] = {}
    for room in rooms().keys() - {"tests", "bench", "soak"}:
        for path in (ROOT / room).rglob("*.py"):
            if path.name != "__init__.py":
                rooms_of.setdefault(path.name, set()).add(room)
    assert {name: found for name, found in rooms_of.items() if len(found) > 2} == {}
