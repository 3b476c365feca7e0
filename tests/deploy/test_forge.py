"""What a forge and pre-commit run is what everybody runs by hand, and pinned."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_actions_are_pinned_to_commits() -> None:
    used = [step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []


def test_the_forge_runs_make_test_with_few_rights() -> None:
    [path] = WORKFLOWS
    workflow = yaml.safe_load(path.read_text())
    assert [step["run"] for step in steps(path) if "run" in step] == ["make test", "make fuzz"]
    assert workflow["permissions"] == {"contents": "read"}


def test_servers_are_cached_by_their_modules_where_builds_put_them() -> None:
    [cache] = [step["with"] for step in steps(WORKFLOWS[0]) if "actions/cache@" in step.get("uses", "")]
    assert cache["path"] == "~/.cache/porchflow/servers"
    for name in ("go.mod", "go.sum"):
        pattern = f"deploy/toolchain/*/{name}"
        assert pattern in cache["key"]
        assert list(ROOT.glob(pattern))


def test_pre_commit_runs_make_check_and_downloads_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert any(hook["entry"].split()[0] == "make" and hook["entry"].split()[-1] == "check" for hook in hooks)
