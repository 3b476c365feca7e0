"""What the image holds of others, and what it is built on."""

import json
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

from porchflow.deploy.images.inventory import ROOT, describe, licenses

DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()


def test_every_locked_package_is_listed_with_its_license(tmp_path: Path) -> None:
    # This environment holds the lock's packages too, and others.
    describe(Path(sys.executable), tmp_path)
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


def test_a_package_that_states_no_license_is_listed_too() -> None:
    component = {"name": "quiet", "version": "1"}
    assert licenses({"components": [component]}).splitlines()[-1] == "| quiet | 1 | not stated |"


def test_the_base_can_be_named_by_digest_and_both_say_how() -> None:
    assert DOCKERFILE.startswith("#")
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]
    [default] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    told = (ROOT / "docs" / "operations.md").read_text()
    for text in (DOCKERFILE, told):
        assert f"docker pull {default}\n" in text
        assert "--build-arg PYTHON_IMAGE=" in text
        assert f"'{{{{index .RepoDigests 0}}}}' {default}" in text


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
