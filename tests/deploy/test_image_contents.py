"""What is in the image: the wheel built of what the build takes, and what of it can be run without the rest."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from porchflow.cli.install.choice import Choice
from porchflow.cli.manifests.shipped import component_names, composed

ROOT = Path(__file__).parents[2]
IGNORED = ROOT / "deploy" / "images" / "Dockerfile.dockerignore"


def taken(name: str) -> bool:
    """Whether the build of the image takes a file: the last line of .dockerignore that matches it decides."""
    found = False
    for line in IGNORED.read_text().splitlines():
        pattern = line.removeprefix("!").removesuffix("/*")
        if pattern in {"*", name} or name.startswith(f"{pattern}/"):
            found = line.startswith("!")
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the image has it: a folder with the contents of its wheel."""
    folder = tmp_path_factory.mktemp("image")
    for name in run("git", "-C", str(ROOT), "ls-files").splitlines():
        if taken(name):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name, follow_symlinks=False)
    flags = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    run(sys.executable, "-m", "pip", "wheel", *flags, str(folder / "source"))
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_the_embedded_stack_is_not_in_it(installed: Path) -> None:
    held = {path.relative_to(installed).as_posix() for path in installed.rglob("*.py")}
    assert {f"porchflow/{name}" for name in ("cli/main.py", "cli/processes/worker.py", "workflows/ids.py")} <= held
    assert {name.split("/")[1] for name in held if name.count("/") > 1} & {"devstack", "tests", "bench"} == set()
    assert not [name for name in held if "class GitServer" in (installed / name).read_text()]


def test_what_it_installs_is_without_the_extra() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "\ntrustme==" not in lock
    assert "\ntrustme==" in (ROOT / "requirements-dev.lock").read_text()


@pytest.mark.parametrize("command", ["worker", "watcher", "function-runner", "content-api", "status", "doctor", "up"])
def test_its_commands_are_there(installed: Path, command: str) -> None:
    done = porchflow(installed, command, "--help")
    assert done.returncode == 0, done.stderr


def test_doctor_runs_without_the_embedded_stack(installed: Path, tmp_path: Path) -> None:
    done = porchflow(installed, "doctor", "--kubeconfig", str(tmp_path / "none"), "--state-dir", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "there is no kubeconfig at" in done.stdout
    assert done.stderr == ""


def test_install_finds_every_manifest(installed: Path) -> None:
    code = (
        "from porchflow.cli.install.choice import Choice\n"
        "from porchflow.cli.manifests.shipped import component_names, composed\n"
        "print(len(component_names()), len(composed(component_names())), len(Choice().foundations()))"
    )
    told = run(sys.executable, "-S", "-c", code, cwd=installed, env=environment(installed))
    names = component_names()
    assert told.split() == [str(len(each)) for each in (names, composed(names), Choice().foundations())]


@pytest.mark.parametrize("command", ["up", "demo", "down"])
def test_commands_of_the_stack_say_what_to_install(installed: Path, command: str) -> None:
    done = porchflow(installed, command)
    assert done.returncode == 1
    assert "pip install 'porchflow[stack]'" in done.stderr


def porchflow(installed: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    # Without the module `site`: an editable installation of the checkout would add what the wheel lacks.
    return subprocess.run(
        [sys.executable, "-S", "-m", "porchflow.cli.main", *arguments],
        cwd=installed,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def environment(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), sysconfig.get_path("purelib")])}


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout
