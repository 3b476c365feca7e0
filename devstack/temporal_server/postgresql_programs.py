"""The programs of PostgreSQL, which come from the system."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from porchflow.devstack.toolchain.executables import ToolchainError

VARIABLE = "PORCHFLOW_POSTGRESQL"
"""Environment variable with the folder of the programs."""

_LEAST = 12
"""Major version: the oldest that Temporal's schema is made for."""
_NEEDED = ("initdb", "postgres", "pg_isready")
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION_SECONDS = 60.0


@dataclass(frozen=True)
class Programs:
    """One installation of PostgreSQL.

    Attributes:
        folder: Folder of its programs.
        version: Its major version, which is that of the data it makes, and the only one that it reads.
    """

    folder: Path
    version: int


def find_programs(data_version: int | None = None) -> Programs:
    """Find PostgreSQL: the folder that `PORCHFLOW_POSTGRESQL` names, else the newest of Debian's folders and PATH.

    Args:
        data_version: Major version of the data that it must read; None where there is no data yet.

    Raises:
        ToolchainError: There is none, or none of that version; the message says what to install.
    """
    if explicit := os.environ.get(VARIABLE):
        found = [_programs(Path(explicit).expanduser().absolute(), f"{VARIABLE} names")]
    else:
        found = list(_installed())
    suitable = [each for each in found if each.version == (data_version or each.version) and each.version >= _LEAST]
    if not suitable:
        raise ToolchainError(_nothing_suitable(found, data_version))
    return max(suitable, key=lambda each: each.version)


def _installed() -> Iterator[Programs]:
    folders = [*_DEBIAN.glob("*/bin"), *_folder_on_path()]
    for folder in folders:
        if all((folder / name).exists() for name in _NEEDED):
            yield _programs(folder, "found in")


def _folder_on_path() -> list[Path]:
    found = shutil.which("postgres")
    # Debian's link leads to a folder that has the other programs, too.
    return [Path(found).resolve().parent] if found else []


def _programs(folder: Path, origin: str) -> Programs:
    """Return the installation in a folder.

    Raises:
        ToolchainError: It has not all programs, or they do not run.
    """
    missing = [name for name in _NEEDED if not (folder / name).exists()]
    if missing:
        raise ToolchainError(f"{origin} {folder}, which has no {', '.join(missing)}: {_advice('postgresql')}")
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"PostgreSQL, {origin} {folder}, cannot be run: {error}") from None
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    if not version:
        raise ToolchainError(f"PostgreSQL, {origin} {folder}, prints no version: `postgres --version` says {said!r}")
    return Programs(folder, int(version[1]))


def _nothing_suitable(found: list[Programs], data_version: int | None) -> str:
    there = ", ".join(f"{each.version} in {each.folder}" for each in found)
    if data_version:
        return (
            f"the data of this stack is PostgreSQL {data_version}'s, which is not installed"
            f"{f' (found: {there})' if there else ''}: {_advice(f'postgresql-{data_version}')}"
        )
    if there:
        return f"PostgreSQL {there} is too old, Temporal needs {_LEAST} or newer: {_advice('postgresql')}"
    return f"PostgreSQL is not installed: {_advice('postgresql')}"


def _advice(package: str) -> str:
    return (
        f"install it, on Debian and Ubuntu with `apt-get install {package}`, or name the folder of its programs with"
        f" {VARIABLE}; `--temporal-store sqlite` needs none"
    )
