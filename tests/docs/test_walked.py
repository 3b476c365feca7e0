"""The pages for a first half hour: every command runs on the embedded stack and prints what the page shows."""

import os
from pathlib import Path

import pytest

from porchflow.cli.stack_state import StateFolder
from tests.docs.walked import Shell, agrees, blocks, walk

ROOT = Path(__file__).parents[2]
PAGES = ["quick-start", "tutorial-fleet"]

# A page takes a start of the stack and its own minute or two; on a busy machine a multiple of that.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path, environment: dict[str, str]) -> None:
    git = f"127.0.0.1:{environment['PORCHFLOW_GIT_PORT']}"
    walk(ROOT / "docs" / "start" / f"{page}.md", tmp_path, environment, replace={"127.0.0.1:13000": git})
    assert StateFolder(tmp_path / ".porchflow").running()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_commands_with_what_they_print(page: str) -> None:
    found = blocks((ROOT / "docs" / "start" / f"{page}.md").read_text(encoding="utf-8"))
    assert [block for block in found if block.language == "sh"]
    assert [block for block in found if block.language == "text"]


class TestTheWalk:
    @pytest.mark.parametrize(
        ("shown", "printed"),
        [
            ("a\nb\n", "a\nb\n"),
            ("a   b …\n", "a b 3s\n"),
            ("a   b …\n", "a         b   3s  "),
            ("a\n…\nb", "a\nx\ny\nb"),
            ("a\n…\nb", "a\nb"),
            ("…\nb", "b"),
            ("http://…/x (y) [z]", "http://1.2.3.4:5/x (y) [z]"),
        ],
    )
    def test_what_agrees(self, shown: str, printed: str) -> None:
        assert agrees(shown, printed)

    @pytest.mark.parametrize(
        ("shown", "printed"), [("a", "b"), ("a", "a\nb"), ("a b", "ab"), ("a\n…\nb", "a\nx"), ("a.b", "axb"), ("a", "")]
    )
    def test_what_does_not(self, shown: str, printed: str) -> None:
        assert not agrees(shown, printed)

    def test_folder_and_variables_stay_and_failures_are_seen(self, tmp_path: Path) -> None:
        shell = Shell(tmp_path, {"PATH": os.environ["PATH"]})
        assert shell.run("export GREETING='hello\n  you'\nmkdir a && cd a\necho x") == (0, "x\n")
        assert shell.run('echo "$GREETING"; pwd') == (0, f"hello\n  you\n{tmp_path / 'a'}\n")
        assert shell.run("false\necho never")[0] == 1
        assert shell.run("false | cat")[0] == 1

    def test_blocks_are_found_with_their_lines(self) -> None:
        found = blocks('# A\n\n```yaml title="a.yaml"\nb: c\n```\n\n```sh\nls\n```\n')
        assert [(block.line, block.language, block.title) for block in found] == [(3, "yaml", "a.yaml"), (7, "sh", "")]
