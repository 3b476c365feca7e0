"""What the image holds of others, and what it is built on."""

import json
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from porchflow.deploy.images.inventory import ROOT, describe, licenses, stated_licenses

DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()


def test_every_locked_package_is_listed_with_its_license(tmp_path: Path) -> None:
    # This environment holds the lock's packages too, and others.
    describe(distributions(), tmp_path)
    rows = [line.strip("| ").split(" | ") for line in (tmp_path / "licenses.md").read_text().splitlines()[2:]]
    listed = {_plain(name): (version, license_) for name, version, license_ in rows}
    here = {_plain(each.name) for each in distributions()}
    locked = re.findall(r"^([\w.-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    expected = {_plain(name): version for name, version in locked if _plain(name) in here}
    assert len(expected) > 20
    assert {name: listed[name][0] for name in expected} == expected
    assert listed["click"][1] == "BSD-3-Clause"
    sbom = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["component"]["name"] == "porchflow"


def test_a_package_that_states_no_license_is_listed_too(tmp_path: Path) -> None:
    assert licenses([stating(tmp_path)]).splitlines()[-1] == "| quiet | 1 | not stated |"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["License-Expression: MIT OR Apache-2.0", "License: else"], ["MIT OR Apache-2.0"]),
        (
            ["License: BSD", "Classifier: License :: OSI Approved :: MIT License", "Classifier: Typing :: Typed"],
            ["MIT License"],
        ),
        (["License: BSD\n        3-Clause"], ["BSD 3-Clause"]),
        (["License: " + "a whole license text " * 20], []),
    ],
)
def test_the_most_exact_statement_counts(tmp_path: Path, stated: list[str], expected: list[str]) -> None:
    package = stating(tmp_path, *stated)
    assert stated_licenses(package) == expected
    describe([package], tmp_path / "written")
    [component] = json.loads((tmp_path / "written" / "sbom.cdx.json").read_text())["components"]
    assert component["purl"] == "pkg:pypi/quiet@1"
    assert bool(component.get("licenses")) is bool(expected)


def stating(folder: Path, *lines: str) -> Distribution:
    """A package with these lines in its metadata."""
    (folder / "quiet-1.dist-info").mkdir()
    head = ["Metadata-Version: 2.4", "Name: quiet", "Version: 1"]
    (folder / "quiet-1.dist-info" / "METADATA").write_text("\n".join([*head, *lines]) + "\n")
    return Distribution.at(folder / "quiet-1.dist-info")


def test_the_base_can_be_named_by_digest_and_both_say_how() -> None:
    assert DOCKERFILE.startswith("#")
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}", "scratch"]
    [default] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    told = (ROOT / "docs" / "operate" / "image.md").read_text()
    for text in (DOCKERFILE, told):
        assert f"docker pull {default}\n" in text
        assert "--build-arg PYTHON_IMAGE=" in text
        assert f"'{{{{index .RepoDigests 0}}}}' {default}" in text


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
