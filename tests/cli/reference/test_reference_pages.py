"""The generated pages of the reference: fresh, complete, and in agreement with troubleshooting."""

import re
from pathlib import Path

import click
import pytest

from porchflow.api import names
from porchflow.api.crd import DEFINITIONS
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import ConditionType, Reason
from porchflow.cli.main import main as porchflow
from porchflow.cli.reference.__main__ import generated
from porchflow.cli.reference.commands_page import commands_page
from porchflow.cli.reference.documented import documented
from porchflow.cli.reference.generated import ROOT, Generated, write_or_check
from porchflow.cli.reference.names_page import names_page
from porchflow.cli.reference.resources_page import resources_page
from porchflow.cli.reference.tables import table

TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
OWN = re.compile(r"\"((?:porchflow\.dev|(?:config\.)?porch\.kpt\.dev)/[a-z][a-z-]+(?:__)?)\"")
OF_PODS = {
    *("porchflow.dev/pod-fingerprint", "porchflow.dev/image-digest", "porchflow.dev/last-used"),
    *("porchflow.dev/owner-namespace", "porchflow.dev/pull-secret"),
}
NOT_NAMES = {"porchflow.dev/hidden-files", "porchflow.dev/not-finite", "porchflow.dev/started"}
"""Annotations of the content API's answers and of the embedded stack, and a key of Starlark's."""


def test_every_page_is_fresh_and_in_the_menu() -> None:
    assert {each.path.name: each.difference() for each in generated() if each.difference()} == {}
    menu = (ROOT / "mkdocs.yml").read_text()
    assert [each.path.name for each in generated() if each.path.suffix == ".md" and each.path.name not in menu] == []


def without_links(text: str) -> str:
    """A text without the links that it ends with, and the words of others."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r" \(\[[^\]]*\]\([^)]*\)\)", "", text))


class TestTroubleshooting:
    """A heading for each reason, with what it means, how to look and how to mend it."""

    @pytest.mark.parametrize("reason", Reason)
    def test_a_reason_has_a_heading(self, reason: Reason) -> None:
        found = re.findall(rf"(?ms)^### {reason}\n\n(.+?)(?=^##|\Z)", TROUBLESHOOTING)
        assert len(found) == 1, "once"
        means = without_links(found[0].partition("\n\n")[0])
        assert " ".join(means.split()) == documented(Reason)[reason.name]
        assert re.search(r"\*\*Mend:\*\* \S", found[0])

    def test_no_heading_is_for_a_reason_that_does_not_exist(self) -> None:
        assert set(re.findall(r"(?m)^### (\S+)$", TROUBLESHOOTING)) == set(Reason)

    def test_each_group_of_reasons_says_how_to_look(self) -> None:
        groups = re.split(r"(?m)^## ", TROUBLESHOOTING)
        for group in groups:
            if "\n### " in group:
                assert "**Look:**" in group.partition("\n### ")[0], group[:40]


@pytest.mark.parametrize("kinds", [ConditionType, Reason, ErrorKind])
def test_every_word_of_a_status_has_a_meaning(kinds: type[Reason]) -> None:
    shown = {each.name for each in kinds if each != ErrorKind.HANDED_OVER}
    assert shown <= documented(kinds).keys()


def test_every_name_in_metadata_is_in_the_reference() -> None:
    page = names_page()
    rooms = [
        path for room in ROOT.glob("*/__init__.py") if room.parent.name != "tests" for path in room.parent.rglob("*.py")
    ]
    used = {name for path in rooms for name in OWN.findall(path.read_text(encoding="utf-8"))}
    assert names.SUSPEND_ANNOTATION in used
    assert {name for name in used - OF_PODS - NOT_NAMES if f"`{name}" not in page} == set()


def test_every_command_and_option_is_in_the_reference() -> None:
    page, context = commands_page(), click.Context(porchflow)
    for name in porchflow.list_commands(context):
        command = porchflow.get_command(context, name)
        assert command is not None
        section = page.partition(f"\n## porchflow {name}\n")[2].partition("\n## ")[0]
        for option in command.params:
            assert all(f"`{each}`" in section for each in option.opts if isinstance(option, click.Option)), (
                name,
                option.name,
            )


def test_every_field_is_in_the_reference() -> None:
    page = resources_page()
    for definition in DEFINITIONS:
        section = page.partition(f"\n## {definition.kind}\n")[2].partition("\n## ")[0]
        assert section.count("| `spec.") > 1
    for field in (
        "spec.source.cloneFrom.git.repo",
        "spec.readinessGates[].conditionType",
        "status.conditions[].reason",
    ):
        assert f"| `{field}` |" in page, field


def test_cells_stay_in_their_row() -> None:
    assert table(("a", "b"), [("x|y", "one\n  two"), ("", "z")]) == (
        "| a | b |\n| --- | --- |\n| x\\|y | one two |\n| | z |\n"
    )


def test_documented_constants_of_a_class() -> None:
    class Sample:
        A = 1
        """What
        A is."""
        B = 2
        C: int = 3
        """C."""

    assert documented(Sample) == {"A": "What A is.", "C": "C."}


def test_a_stale_or_missing_file_is_refused_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [Generated(tmp_path / "new" / "page.md", "# A page\n")]
    assert write_or_check("a.module", files, ["--check"]) == 1
    said = capsys.readouterr()
    assert "+# A page" in said.out
    assert "page.md; run `python -m a.module`" in said.err
    assert write_or_check("a.module", files, []) == 0
    assert write_or_check("a.module", files, ["--check"]) == 0
    assert capsys.readouterr().out == ""
