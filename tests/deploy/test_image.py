"""The image's build: it takes what the package is built of, and installs nothing that is not pinned by hash."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "images"
DOCKERFILE = (IMAGES / "Dockerfile").read_text()


def test_every_room_is_in_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    # The image does without the embedded stack and the toolchain that builds its servers.
    rooms = {pattern.removeprefix("porchflow.").rstrip(".*").replace(".", "/") for pattern in packages}
    rooms -= {"deploy/toolchain", "devstack"}
    # Of the folder itself only its kustomization is read.
    rooms = {"deploy/kustomization.yaml" if room == "deploy" else room for room in rooms}
    taken = {line[1:] for line in (IMAGES / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    assert rooms <= taken
    licenses = project["project"]["license-files"]
    assert {"pyproject.toml", project["project"]["readme"], *licenses} <= taken
    assert {"requirements.lock", "requirements-dev.lock"} <= taken


def test_what_is_installed_is_pinned_by_hash() -> None:
    joined = DOCKERFILE.replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel)[^&\n]*", joined)
    assert len(installs) == 4
    assert [one for one in installs if "--require-hashes" not in one and "--no-index" not in one] == []


def test_the_build_backend_is_in_the_development_lock() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text()
    [entry] = re.findall(r"^setuptools==.*?[^\\]$", lock, re.DOTALL | re.MULTILINE)
    assert entry.count("--hash=sha256:") >= 1
    assert "sed -n '/^setuptools==/,/[^\\\\]$/p' requirements-dev.lock" in DOCKERFILE


def test_it_runs_as_the_user_that_the_manifests_name() -> None:
    [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    for manifest in (ROOT / "deploy" / "base").glob("*.yaml"):
        assert set(re.findall(r"runAsUser: (\d+)", manifest.read_text())) <= {user}
    assert 'ENTRYPOINT ["porchflow"]' in DOCKERFILE
