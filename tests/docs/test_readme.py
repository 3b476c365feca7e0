"""The commands of README: they work after `make demo`, in their order."""

from pathlib import Path

import pytest

from porchflow.cli.stack_state import StateFolder
from tests.docs.test_command_blocks import ROOT, commands
from tests.docs.walked import Shell, blocks

pytestmark = pytest.mark.timeout(600)

README = ROOT / "README.md"


def block_with(words: str) -> str:
    [found] = [block for block in commands(README.read_text(encoding="utf-8")) if words in block]
    return found


def test_what_readme_says_to_run_after_the_demo_works(tmp_path: Path, environment: dict[str, str]) -> None:
    text = README.read_text(encoding="utf-8")
    [manifest] = [block.body for block in blocks(text) if block.language == "yaml"]
    (tmp_path / "hello.yaml").write_text(manifest)
    shell = Shell(tmp_path, environment | {"KUBE_EDITOR": "sed -i 's/my first package/my package/'"})

    def run(block: str) -> str:
        code, printed = shell.run(block)
        assert code == 0, printed
        return printed

    run("porchflow demo")
    run("git clone --quiet .porchflow/git/demo.git DEMO")
    look = block_with("export KUBECONFIG=").replace("render DIR", "render DEMO/storefront")
    # As `diff` does, it ends with 1 where there is a difference.
    looked = run(look.replace("diff demo.storefront-eu.v1 ", "diff demo.storefront-eu.v1 || test $? = 1 "))
    assert "demo.storefront-eu.v1" in looked
    assert "watcher" in looked
    # A person reads what it changes, and agrees; here is no terminal to ask on.
    made = run(block_with("hello.yaml").replace("approve demo.hello.v1 ", "approve --yes demo.hello.v1 "))
    assert "packagerevisionresources" in made
    assert "my package" in made
    assert "Published" in run("kubectl get packagerevision demo.hello.v1")
    assert "description: my package" in run("git --git-dir=.porchflow/git/demo.git show hello/v1:hello/Kptfile")
    assert StateFolder(tmp_path / ".porchflow").running()
