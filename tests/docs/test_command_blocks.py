"""Commands of pages: a test runs them, or the page says where they run; and they name what the command line has."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from porchflow.cli.main import main as porchflow
from tests.docs.walked import blocks

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
COMMANDS = re.compile(
    r"^    (?:export|kubectl|porchflow|porchctl|git|make|docker|temporal|\.venv/)\b.*(?:\n    .*)*", re.MULTILINE
)
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"^\*Where the commands run: .+\.\*$", re.MULTILINE)
RUN_BY = {
    "README.md": "tests/docs/test_readme.py",
    "docs/start/quick-start.md": "tests/docs/test_walked.py",
    "docs/start/tutorial-fleet.md": "tests/docs/test_walked.py",
    "docs/contributing/cluster.md": "tests/cluster/test_walk.py",
}
"""The test that runs a page's commands, by page."""
SHELL = frozenset({"sh", "console"})


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(text: str) -> list[str]:
    """The blocks of commands of a page, without the prompts of a console."""
    fenced = [re.sub(r"^\$ ", "", each.body, flags=re.MULTILINE) for each in blocks(text) if each.language in SHELL]
    return [
        *fenced,
        *(re.sub(r"^    ", "", each, flags=re.MULTILINE) for each in COMMANDS.findall(FENCE.sub("", text))),
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_run_by_a_test_or_say_where_they_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if name_of(page) in RUN_BY:
        assert (ROOT / RUN_BY[name_of(page)]).is_file()
        return
    assert bool(PLACE.search(text)) == bool(commands(text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_those_of_a_shell(page: Path) -> None:
    for block in commands(page.read_text(encoding="utf-8")):
        done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_of_porchflow_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = [line for block in commands(text) for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(porchflow [a-z][^`\n]*)`", FENCE.sub("", text))
    assert [wrong for line in [*lines, *inline] for wrong in mistakes(line)] == []


def mistakes(line: str) -> Iterator[str]:
    """What a line with a command of porchflow names that does not exist."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        # A part of a text with an apostrophe, such as a message in a block.
        return
    if words[:1] != ["porchflow"] or len(words) == 1:
        return
    command: click.Command | None = porchflow
    context = click.Context(porchflow)
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if not re.fullmatch(r"[a-z-]+", name):
            # A placeholder, or several commands in one, such as `approve|reject`.
            return
        found = command.get_command(context, name)
        if found is None:
            yield f"{line}: there is no command {name}"
            return
        command = found
    assert command is not None
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {
        "-h",
        "--help",
        "--version",
    }
    yield from (
        f"{line}: no option {word}" for word in rest if word.startswith("--") and word.split("=")[0] not in known
    )


class TestTheseRules:
    @pytest.mark.parametrize(
        "line", ["porchflow instal", "porchflow up --detached", "porchflow migrate plans", "porchflow doctor --befor"]
    )
    def test_what_does_not_exist_is_found(self, line: str) -> None:
        assert list(mistakes(line))

    @pytest.mark.parametrize(
        "line",
        [
            "porchflow up --detach --api-port 0",
            "porchflow migrate plan --namespace a  # a comment",
            "porchflow approve|reject NAME",
            "kubectl get pods --no-such-option",
            "porchflow",
        ],
    )
    def test_what_exists_is_not(self, line: str) -> None:
        assert list(mistakes(line)) == []

    def test_indented_and_fenced_blocks_are_commands(self) -> None:
        page = "# A\n\n    kubectl get pods\n      --all\n\n```console\n$ porchflow up\n```\n\n    text of a list\n"
        assert commands(page) == ["porchflow up\n", "kubectl get pods\n  --all"]
