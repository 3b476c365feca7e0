"""Makes an installation small: takes away what no process reads, and packs what is read seldom.

Run by the Dockerfile: `python slim.py SITE_PACKAGES`.
"""
# ruff: noqa: INP001 - a program beside the Dockerfile, in no package

import shutil
import sys
import zipfile
from pathlib import Path

UNUSED = (
    "kubernetes/client/api",
    "kubernetes/client/models",
    "kubernetes/aio/client/api",
    "kubernetes/aio/client/models",
)
"""Modules that the client loads only when one is named. porchflow's requests are JSON and name none."""

PACKED = ("kubernetes_validate",)
"""Schemas, read one by one. Python imports from the archive by itself, because a `.pth` file names it."""

_FOR_COMPILERS = ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h", "*.hpp")


def main() -> None:
    """Shrink the folder that is the only argument."""
    site = Path(sys.argv[1])
    for name in UNUSED:
        empty(site / name)
    for name in PACKED:
        pack(site, name)
    for pattern in _FOR_COMPILERS:
        for path in list(site.rglob(pattern)):
            path.unlink()


def empty(package: Path) -> None:
    """Remove all modules of a package; the package itself can still be imported."""
    for path in list(package.rglob("*")):
        if path.is_file() and path.name.partition(".")[0] != "__init__":
            path.unlink()


def pack(site: Path, name: str) -> Path:
    """Replace a package by an archive from which Python imports it.

    Args:
        site: The folder that holds the package.
        name: The package.

    Returns:
        The archive.
    """
    folder, archive = site / name, site / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                packed.write(path, path.relative_to(site))
    shutil.rmtree(folder)
    (site / f"{name}.pth").write_text(f"{archive.name}\n", encoding="ascii")
    return archive


if __name__ == "__main__":
    main()
