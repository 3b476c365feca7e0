"""Inventory of the packages in the image: `python deploy/images/inventory.py FOLDER`.

It writes a software bill of materials (SBOM: `sbom.cdx.json`, CycloneDX 1.6) and the licenses (`licenses.md`) of every
package in `requirements.lock`. Both come from the metadata of the packages, which are installed, by their hashes, into
an environment that holds nothing else.
"""
# ruff: noqa: INP001 - a program beside the Dockerfile, in no package

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
UNKNOWN = "not stated"
_LONGEST_NAME = 100
"""Characters of a license's name; a longer text is the license itself."""


def write(folder: Path) -> None:
    """Write both files into a folder.

    Raises:
        subprocess.CalledProcessError: A package cannot be installed, or is not what its hash says.
    """
    with tempfile.TemporaryDirectory() as scratch:
        describe(distributions(path=[str(_installed(Path(scratch) / "image"))]), folder)


def describe(packages: Iterable[Distribution], folder: Path) -> None:
    """Write both files.

    Args:
        packages: The installed packages.
        folder: The folder, made if it is missing.
    """
    found = sorted(packages, key=lambda each: each.name.lower())
    folder.mkdir(parents=True, exist_ok=True)
    outputter = make_outputter(_sbom(found), OutputFormat.JSON, SchemaVersion.V1_6)
    outputter.output_to_file(str(folder / "sbom.cdx.json"), allow_overwrite=True, indent=2)
    (folder / "licenses.md").write_text(licenses(found))


def licenses(packages: Iterable[Distribution]) -> str:
    """Return a table of packages and their licenses."""
    rows = ((each.name, each.version, ", ".join(stated_licenses(each)) or UNKNOWN) for each in packages)
    lines = ["| package | version | license |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def stated_licenses(package: Distribution) -> Sequence[str]:
    """Return the licenses that a package's metadata states.

    Returns:
        Its SPDX expression, else the names of its classifiers, else its field `License`; empty where it has none.
    """
    metadata = package.metadata
    if expressions := metadata.get_all("License-Expression", []):
        return expressions
    prefix = "License :: "
    classifiers = [each for each in metadata.get_all("Classifier", []) if each.startswith(prefix)]
    if classifiers:
        return [each.rpartition(" :: ")[2] for each in classifiers]
    name = " ".join(" ".join(metadata.get_all("License", [])).split())
    return [name] if 0 < len(name) <= _LONGEST_NAME else []


def _sbom(packages: Iterable[Distribution]) -> Bom:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bom = Bom()
    bom.metadata.component = Component(name=project["name"], version=project["version"], type=ComponentType.APPLICATION)
    bom.components.update(_component(each) for each in packages)
    bom.register_dependency(bom.metadata.component, bom.components)
    return bom


def _component(package: Distribution) -> Component:
    make = LicenseFactory().make_from_string
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", name=package.name.lower(), version=package.version),
        licenses=[make(each) for each in stated_licenses(package)],
    )


def _installed(folder: Path) -> Path:
    """Make an environment with the packages of the image, and return its folder of packages."""
    _run("uv", "venv", "--quiet", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    lock = str(ROOT / "requirements.lock")
    _run("uv", "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", "--python", str(python), lock)
    return Path(_run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def _run(program: str, *arguments: str) -> str:
    return subprocess.run(
        [str(TOOLS / program), *arguments], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):  # noqa: PLR2004 - the program and its one argument
        sys.exit("usage: python deploy/images/inventory.py FOLDER")
    write(Path(sys.argv[1]))
