"""The version stands in pyproject.toml; every other place that names it agrees."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml

from tests.deploy.manifests import VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = re.compile(r"porchflow:(\d[\w.-]*)")


def test_the_manifests_name_the_image_of_this_version() -> None:
    base = yaml.safe_load((ROOT / "deploy" / "base" / "kustomization.yaml").read_text())
    assert base["images"] == [{"name": "porchflow", "newTag": VERSION}]


def test_the_commands_that_people_paste_name_it() -> None:
    named = {}
    for path in (ROOT / "README.md", ROOT / "deploy" / "images" / "Dockerfile"):
        named[path.name] = set(IMAGE.findall(path.read_text()))
    assert named == {"README.md": {VERSION}, "Dockerfile": {VERSION}}


def test_no_other_file_of_deploy_names_another() -> None:
    for path in (ROOT / "deploy").rglob("*.yaml"):
        assert set(IMAGE.findall(path.read_text())) <= {VERSION}, path


def test_programs_say_it() -> None:
    assert version("porchflow") == VERSION, "run `make check`: the installed package is of another version"
    command = Path(sys.executable).with_name("porchflow")
    done = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == VERSION


def test_the_changelog_tells_of_it() -> None:
    headings = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", VERSION]
    assert len(headings) == len(set(headings))


def test_the_license_is_named_and_there() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
