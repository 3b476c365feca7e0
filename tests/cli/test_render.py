"""`porchflow render` as a user runs it, on folders."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner, Result

from porchflow.cli.main import main
from porchflow.cli.render.folder import FolderError, read_folder, write_folder
from porchflow.functions.children import end_child
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
KPTFILE = """\
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: shop # the shop
pipeline:
  mutators:
  - image: set-namespace:v0.4
    configMap: {namespace: prod}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web # of the shop\n  namespace: test\nspec: {}\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "sub").mkdir(parents=True)
    (folder / "Kptfile").write_text(KPTFILE)
    (folder / "sub" / "service.yaml").write_text(SERVICE)
    (folder / "logo.png").write_bytes(b"\x89PNG\xff")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.yaml").write_text("a: [")
    return folder


def render(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["render", *map(str, arguments)])


def pipeline(package: Path, *functions: dict[str, Any], kind: str = "mutators") -> None:
    kptfile = yaml.safe_load(KPTFILE)
    (package / "Kptfile").write_text(yaml.safe_dump({**kptfile, "pipeline": {kind: list(functions)}}))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_rendered_in_place(package: Path) -> None:
    before = contents(package)
    (package / "sub" / "service.yaml").chmod(0o755)
    result = render(package)
    assert result.exit_code == 0, result.output
    after = contents(package)
    assert after["sub/service.yaml"] == SERVICE.replace("namespace: test", "namespace: prod").encode()
    assert (package / "sub" / "service.yaml").stat().st_mode & 0o777 == 0o755
    assert {name for name in after if after[name] != before.get(name)} == {"Kptfile", "sub/service.yaml"}
    assert after["Kptfile"].startswith(KPTFILE.encode())
    assert "[PASS] mutator ghcr.io/kptdev/krm-functions-catalog/set-namespace:v0.4" in result.stderr
    assert "[info] namespace [test] updated" in result.stderr
    assert result.stderr.endswith("rendered\n")
    assert result.stdout == ""


def test_a_dry_run_prints_a_diff_that_git_can_apply(package: Path) -> None:
    before = contents(package)
    result = render(package, "--dry-run")
    assert (result.exit_code, contents(package)) == (0, before)
    subprocess.run(["git", "apply"], cwd=package, input=result.stdout.encode(), check=True)
    assert render(package, "--check").exit_code == 0


def test_a_check_fails_while_something_would_change(package: Path) -> None:
    before = contents(package)
    result = render(package, "--check")
    assert (result.exit_code, contents(package)) == (1, before)
    assert "+  namespace: prod" in result.stdout
    assert render(package, "-q").output == ""
    again = render(package, "--check", "--quiet")
    assert (again.exit_code, again.output) == (0, "")


def test_a_failed_function_changes_only_the_status(package: Path) -> None:
    source = "print('looking')\nfail('no service')"
    pipeline(
        package,
        {"image": "set-labels:v0.2", "configMap": {"a": "b"}},
        {"image": "starlark:v0.5", "configMap": {"source": source}},
    )
    before = contents(package)
    result = render(package, "--quiet")
    assert result.exit_code == 1
    after = contents(package)
    assert {name for name in after if after[name] != before[name]} == {"Kptfile"}
    assert yaml.safe_load(after["Kptfile"])["status"]["conditions"][0]["reason"] == "RenderFailed"
    assert "[FAIL] mutator ghcr.io/kptdev/krm-functions-catalog/starlark:v0.5" in result.stderr
    assert "  looking\n" in result.stderr
    assert "fail: no service" in result.stderr.partition("\nnot rendered: ")[2]


@pytest.mark.parametrize(
    "spoil",
    [
        'ctx.resource_list["items"] = [r for r in ctx.resource_list["items"] if r["kind"] != "Kptfile"]',
        '[r.update({"data": {"port": "1"}}) for r in ctx.resource_list["items"] if r["kind"] == "Kptfile"]',
    ],
    ids=["drops", "spoils"],
)
def test_a_function_that_drops_or_spoils_the_kptfile_fails_and_the_files_stay(package: Path, spoil: str) -> None:
    (package / "sub" / "Kptfile").write_text(KPTFILE.partition("pipeline:")[0])
    pipeline(package, {"image": "starlark:v0.5", "configMap": {"source": spoil}})
    before = contents(package)
    result = render(package)
    assert result.exit_code == 1
    after = contents(package)
    assert {name for name in before if after.get(name) != before[name]} == {"Kptfile"}
    assert after["Kptfile"].startswith(before["Kptfile"])
    assert "[FAIL] mutator ghcr.io/kptdev/krm-functions-catalog/starlark:v0.5" in result.stderr
    assert "Kptfile" in result.stderr.partition("\nnot rendered: ")[2]


def test_results_are_written_for_programs(package: Path, tmp_path: Path) -> None:
    pipeline(package, {"image": "kubeconform:v0.1", "configMap": {"strict": "true"}}, kind="validators")
    (package / "sub" / "service.yaml").write_text(SERVICE.replace("spec: {}", "spec: {ports: eighty}"))
    result = render(package, "--results", tmp_path / "results.json")
    assert result.exit_code == 1
    data = json.loads((tmp_path / "results.json").read_text())
    [step] = data["steps"]
    assert (data["ok"], step["package"], step["kind"], step["exitCode"]) == (False, ".", "validator", 1)
    [finding] = step["results"]
    assert finding["field"] == {"path": "spec.ports"}
    assert finding["file"]["path"] == "sub/service.yaml"
    assert finding["severity"] == "error"
    assert json.loads(render(package, "--results", "-", "-q").stdout)["ok"] is False


def test_files_that_a_function_makes_and_removes(package: Path) -> None:
    source = """\
new = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "annotations":
  {"internal.config.kubernetes.io/path": "new/secret.yaml"}}}
ctx.resource_list["items"] = [r for r in ctx.resource_list["items"] if r["kind"] != "Service"] + [new]
"""
    pipeline(package, {"image": "starlark:v0.5", "configMap": {"source": source}})
    assert render(package).exit_code == 0
    assert set(contents(package)) == {"Kptfile", "logo.png", ".git/config.yaml", "new/secret.yaml"}
    assert not (package / "sub").exists()


def test_links_are_never_followed(package: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.yaml").write_text(SERVICE)
    (package / "linked").symlink_to(outside)
    (package / "link.yaml").symlink_to(outside / "a.yaml")
    assert render(package).exit_code == 0
    assert contents(outside) == {"a.yaml": SERVICE.encode()}
    for path in ("linked/b.yaml", "link.yaml"):
        source = "for r in ctx.resource_list['items']:\n  if r['kind'] == 'Service':\n"
        source += f"    r['metadata']['annotations']['internal.config.kubernetes.io/path'] = {path!r}\n"
        pipeline(package, {"image": "starlark:v0.5", "configMap": {"source": source}})
        before = contents(package)
        result = render(package)
        assert (result.exit_code, contents(package)) == (2, before)
        assert f"a function wrote {path}, but" in result.stderr
        assert "links are not followed" in result.stderr
    assert contents(outside) == {"a.yaml": SERVICE.encode()}


def test_an_image_without_runner_says_what_to_set(package: Path) -> None:
    pipeline(package, {"image": "example.com/other:v1"})
    result = render(package)
    assert result.exit_code == 1
    assert "only built-in functions run: set --function-runner-address" in result.stderr


def test_a_runner_that_is_not_there_is_no_failed_function(package: Path) -> None:
    before = contents(package)
    result = render(package, "--function-runner-address", "127.0.0.1:1", "--function-timeout", "1")
    assert (result.exit_code, contents(package)) == (2, before)
    assert "function runner 127.0.0.1:1 could not run" in result.stderr


def test_a_constraint_chooses_among_the_builtin_versions(package: Path) -> None:
    pipeline(package, {"image": "set-namespace", "tag": "~0.4", "configMap": {"namespace": "prod"}})
    done = render(package)
    assert done.exit_code == 0, done.output
    assert "namespace: prod" in (package / "sub" / "service.yaml").read_text()
    pipeline(package, {"image": "set-namespace", "tag": "^7"})
    refused = render(package)
    assert refused.exit_code == 1
    assert (
        'constraint "^7"; known tags of ghcr.io/kptdev/krm-functions-catalog/set-namespace: v0.1.4, v0.2.0, v0.4.1'
        in refused.stderr
    )


def test_a_registry_that_is_not_there_is_no_failed_function(package: Path) -> None:
    pipeline(package, {"image": "127.0.0.1:1/our-check", "tag": "~1"})
    done = render("--function-runner-address", "127.0.0.1:1", package)
    assert done.exit_code == 2, done.output
    assert "the registry 127.0.0.1:1 cannot be reached" in done.stderr


def test_a_ca_that_cannot_be_used_is_named(package: Path) -> None:
    done = render("--function-runner-address", "127.0.0.1:1", "--registry-ca", package / "Kptfile", package)
    assert done.exit_code == 2, done.output
    assert "PORCHFLOW_REGISTRY_CA (--registry-ca): cannot use" in done.stderr


def test_a_function_that_never_ends_is_killed(package: Path) -> None:
    source = "def f():\n  for a in range(1000000000):\n    for b in range(1000000000):\n      pass\nf()\n"
    pipeline(package, {"image": "starlark:v0.5", "configMap": {"source": source}})
    result = render(package, "--function-timeout", "1")
    assert result.exit_code == 1
    assert "was killed after 1 s" in result.stderr


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: (folder / "Kptfile").unlink(), "is no package: there is no Kptfile in it"),
        (lambda folder: os.mkfifo(folder / "pipe"), "is neither file nor folder nor link"),
        (lambda folder: (folder / os.fsdecode(b"\xff.yaml")).write_text(""), "is not UTF-8: rename the file"),
    ],
)
def test_a_folder_that_cannot_be_read_is_told(package: Path, prepare: Any, message: str) -> None:
    prepare(package)
    result = render(package)
    assert result.exit_code == 2
    assert message in result.stderr


def test_no_folder_is_told(tmp_path: Path) -> None:
    result = render(tmp_path / "nope")
    assert (result.exit_code, "is no folder" in result.stderr) == (2, True)


def test_malformed_yaml_names_file_and_line(package: Path) -> None:
    (package / "sub" / "service.yaml").write_text("a: b\nc: [\n")
    result = render(package)
    assert result.exit_code == 1
    assert "sub/service.yaml" in result.stderr
    assert "line 3" in result.stderr


async def test_an_interrupt_leaves_the_folder_as_it_was(package: Path) -> None:
    source = "def f():\n  for a in range(1000000000):\n    for b in range(1000000000):\n      pass\nf()\n"
    pipeline(package, {"image": "starlark:v0.5", "configMap": {"source": source}})
    before = contents(package)
    command = (sys.executable, "-m", "porchflow.cli.main", "render", "--function-timeout", "60", str(package))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)
    try:
        parent = psutil.Process(process.pid)
        workers = await eventually(lambda: _computing(parent), what="a function runs")
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 130
        await eventually(lambda: not any(worker.is_running() for worker in workers), what="the processes end")
    finally:
        if process.returncode is None:
            await end_child(process)
    assert contents(package) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_signal_comes_between_the_files(package: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    came: list[int] = []
    replace = Path.replace

    def replacing(self: Path, target: Path) -> Path:
        os.kill(os.getpid(), number)
        came.append(number)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replacing)
    folder = read_folder(package)
    texts = {path: content + b"# new\n" for path, content in folder.texts.items()}
    before = signal.signal(number, _interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_folder(folder, folder.with_texts({**texts, "new/a.yaml": b"a"}))
    finally:
        signal.signal(number, before)
    assert len(came) == len(texts) + 1
    assert {**contents(package), ".git/config.yaml": b""} == {**texts, "new/a.yaml": b"a", ".git/config.yaml": b""}


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_written_leaves_the_folder_as_it_was(package: Path) -> None:
    folder = read_folder(package)
    texts = {path: content + b"# new\n" for path, content in folder.texts.items()}
    before = contents(package)
    (package / "other").write_text("a file since the folder was read")
    with pytest.raises(FolderError, match=r"cannot write .*/other/a\.yaml: "):
        write_folder(folder, folder.with_texts({**texts, "a/b/new.yaml": b"", "other/a.yaml": b""}))
    (package / "other").unlink()
    assert contents(package) == before
    assert not (package / "a").exists()


@pytest.mark.parametrize("change", ["write", "remove", "make"])
def test_what_somebody_else_changed_meanwhile_is_not_lost(package: Path, change: str) -> None:
    folder = read_folder(package)
    texts = {path: content + b"# new\n" for path, content in folder.texts.items()}
    place = package / ("new.yaml" if change == "make" else "sub/service.yaml")
    if change == "remove":
        place.unlink()
    else:
        place.write_text("by an editor")
    before = contents(package)
    with pytest.raises(FolderError, match="was changed while the package was rendered: nothing was written"):
        write_folder(folder, folder.with_texts({**texts, "new.yaml": b"a"}))
    assert contents(package) == before


def test_results_that_cannot_be_written_are_told_first(package: Path, tmp_path: Path) -> None:
    before = contents(package)
    result = render(package, "--results", tmp_path / "nowhere" / "r.json")
    assert (result.exit_code, contents(package)) == (2, before)
    assert f"there is no folder {tmp_path / 'nowhere'}" in result.stderr
    result = render(package, "--results", package / "sub" / "r.json")
    assert (result.exit_code, contents(package)) == (2, before)
    assert "would become a part of the package" in result.stderr


def test_results_and_diff_are_not_mixed(package: Path) -> None:
    result = render(package, "--dry-run", "--results", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give --results a file" in result.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full_is_told(package: Path, unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        command = (sys.executable, "-m", "porchflow.cli.main", "render", "--dry-run", "-q", str(package))
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "Error: cannot write the output: No space left on device\n")


def test_what_a_function_says_cannot_change_the_terminal(package: Path) -> None:
    source = r"""print("\x1b[2Jgone\x07")"""
    pipeline(package, {"image": "starlark:v0.5", "configMap": {"source": source}})
    result = render(package)
    assert "  \\x1b[2Jgone\\x07\n" in result.stderr
    assert "\x1b" not in result.stderr


def test_subpackages_are_told_apart(package: Path) -> None:
    label = {"image": "set-labels:v0.2", "configMap": {"a": "b"}}
    kptfile = {**yaml.safe_load(KPTFILE), "metadata": {"name": "sub"}, "pipeline": {"mutators": [label]}}
    (package / "sub" / "Kptfile").write_text(yaml.safe_dump(kptfile))
    result = render(package)
    assert result.exit_code == 0
    assert result.stderr.index('Package "sub":') < result.stderr.index('Package ".":')
    assert "status" in yaml.safe_load((package / "Kptfile").read_text())
    assert "status" not in yaml.safe_load((package / "sub" / "Kptfile").read_text())


def _computing(parent: psutil.Process) -> list[psutil.Process]:
    """The processes that run functions, once one of them computes."""
    # Other children come and go while modules are loaded.
    with suppress(psutil.NoSuchProcess):
        workers = [child for child in parent.children() if "porchflow.functions.builtin.child" in child.cmdline()]
        if any(worker.cpu_times().user > 1 for worker in workers):
            return workers
    return []
