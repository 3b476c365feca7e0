"""docs/reference/configuration.md is made from the settings, and none is missing."""

from pathlib import Path

import pytest

from porchflow.cli import configuration
from porchflow.cli.settings import Settings, StackSettings, settings_of


def row(variable: str) -> str:
    [line] = [line for line in configuration.page().splitlines() if line.startswith(f"| `{variable}` |")]
    return line


def test_every_setting_is_there_once_with_who_reads_it() -> None:
    for name, setting in settings_of(Settings).items():
        reader = row(setting.variable).split("|")[4].strip()
        assert reader, name
    for setting in settings_of(StackSettings).values():
        assert row(setting.variable)


def test_a_row_says_what_the_help_says() -> None:
    assert row("PORCHFLOW_RENDER_SLOTS") == (
        "| `PORCHFLOW_RENDER_SLOTS` | `--render-slots` | `20` | worker | renderings at once, per worker |"
    )


def test_a_secret_has_no_flag() -> None:
    assert row("PORCHFLOW_WEBHOOK_SECRET").startswith("| `PORCHFLOW_WEBHOOK_SECRET` | | | watcher |")


def test_a_stale_page_is_refused_with_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert configuration.main(["--check"]) == 0
    monkeypatch.setattr(configuration, "PAGE", tmp_path / "configuration.md")
    assert configuration.main(["--check"]) == 1
    assert configuration.main([]) == 0
    assert configuration.main(["--check"]) == 0
    stale = configuration.PAGE.read_text().replace("`20`", "`21`")
    configuration.PAGE.write_text(stale)
    capsys.readouterr()
    assert configuration.main(["--check"]) == 1
    said = capsys.readouterr()
    assert "+| `PORCHFLOW_RENDER_SLOTS` | `--render-slots` | `20`" in said.out
    assert "run `python -m porchflow.cli.configuration`" in said.err
