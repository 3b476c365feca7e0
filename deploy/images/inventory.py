"""Inventory of the packages in the image: `python deploy/images/inventory.py FOLDER`.

It writes a software bill of materials (SBOM: `sbom.cdx.json`, CycloneDX 1.6) and the licenses (`licenses.md`) of every
package in `requirements.lock`. Both come from the metadata of the packages, which are installed, by their hashes, into
an environment that holds nothing else.
"""
# ruff: noqa: INP001 - a program beside the Dockerfile, in no package

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
UNKNOWN = "not stated"


def write(folder: Path) -> None:
    """Write both files into a folder.

    Raises:
        subprocess.CalledProcessError: A package cannot be installed, or is not what its hash says.
    """
    with tempfile.TemporaryDirectory() as scratch:
        describe(_installed(Path(scratch) / "image"), folder)


def describe(python: Path, folder: Path) -> None:
    """Write both files for the packages of an environment.

    Args:
        python: The Python executable of the environment.
        folder: The folder, made if it is missing.

    Raises:
        subprocess.CalledProcessError: The environment cannot be described.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sbom = folder / "sbom.cdx.json"
    about = ("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--spec-version", "1.6")
    _run("cyclonedx-py", "environment", str(python), *about, "--output-file", str(sbom))
    (folder / "licenses.md").write_text(licenses(json.loads(sbom.read_text())))


def licenses(sbom: dict[str, Any]) -> str:
    """Return a table of packages and their licenses from a CycloneDX SBOM."""
    rows = sorted(
        (each["name"], each["version"], ", ".join(_stated(each)) or UNKNOWN) for each in sbom.get("components", [])
    )
    lines = ["| package | version | license |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _stated(component: dict[str, Any]) -> Iterator[str]:
    for each in component.get("licenses", []):
        one = each.get("license", {})
        yield each.get("expression") or one.get("id") or one.get("name") or UNKNOWN


def _installed(folder: Path) -> Path:
    """Make an environment with the packages of the image, and return its Python executable."""
    _run("uv", "venv", "--quiet", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    lock = str(ROOT / "requirements.lock")
    _run("uv", "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", "--python", str(python), lock)
    return python


def _run(program: str, *arguments: str) -> None:
    subprocess.run([str(TOOLS / program), *arguments], check=True, cwd=ROOT)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):  # noqa: PLR2004 - the program and its one argument
        sys.exit("usage: python deploy/images/inventory.py FOLDER")
    write(Path(sys.argv[1]))
