"""The images of the cluster: built with buildah, without a registry and without Docker.

The base of porchflow's image is made by debootstrap under the name that `deploy/images/Dockerfile` takes it from.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from porchflow.devstack.launch import launched
from porchflow.devstack.parts import SOURCES
from porchflow.devstack.toolchain.executables import ToolchainError
from porchflow.devstack.toolchain.gobuild import Progress

PORCHFLOW_IMAGE = "docker.io/library/porchflow:0.1.0"
_BASE_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
_SUITE = "bookworm"
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
_MACHINE_SETTINGS = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches its package indexes: shown to builds, never part of an image."""

_COMMANDS = ("cp", "ls", "sed", "sh", "sleep")
_TAIL_LINES = 20


class Images:
    """Builds images and keeps them in a folder that is a cache."""

    def __init__(self, cache: Path, progress: Progress) -> None:
        """Name the folder; nothing is built.

        Args:
            cache: Folder for the images and their layers; may be deleted at any time.
            progress: Receives lines.
        """
        self._cache = cache
        self._progress = progress
        self._log = cache / "build.log"

    def porchflow(self, archive: Path) -> None:
        """Build porchflow's image from this checkout and write it to an archive.

        Args:
            archive: The file.

        Raises:
            ToolchainError: A build fails; the message has its last lines.
        """
        with self._alone():
            self._ensure_base()
            self._progress("building porchflow's image from deploy/images/Dockerfile")
            folder = SOURCES / "deploy" / "images"
            identity = self._buildah(
                *("build", "--quiet", "--layers", "--isolation", "chroot", "--format", "docker"),
                *(f"--volume={path}:{path}:ro" for path in _MACHINE_SETTINGS if Path(path).exists()),
                *("--file", str(folder / "Dockerfile"), "--ignorefile", str(folder / "Dockerfile.dockerignore")),
                *("--tag", PORCHFLOW_IMAGE, str(SOURCES)),
            )
            self._write_archive(PORCHFLOW_IMAGE, identity, archive)

    def small(self, name: str, command: Sequence[str], files: Sequence[tuple[Path, str]] = ()) -> str:
        """Build an image of nothing but busybox, with its commands, and files; return its id.

        Args:
            name: The image's name.
            command: Its entry point.
            files: Files of this machine, with their paths in the image.

        Raises:
            ToolchainError: The build fails, or this machine has no busybox.
        """
        with self._alone(), tempfile.TemporaryDirectory() as scratch:
            _fill(Path(scratch), files)
            container = self._buildah("from", "scratch")
            self._buildah("copy", "--quiet", container, scratch, "/")
            words = ", ".join(f'"{word}"' for word in command)
            self._buildah("config", "--entrypoint", f"[{words}]", "--cmd", "", container)
            return self._buildah("commit", "--quiet", "--rm", container, name)

    def archive(self, name: str, identity: str, archive: Path) -> None:
        """Write an image to a file.

        Args:
            name: The image's name.
            identity: Its id.
            archive: The file; it must not exist.
        """
        with self._alone():
            self._write_archive(name, identity, archive)

    def push(self, name: str, target: str) -> None:
        """Push an image to a registry that speaks plain HTTP.

        Args:
            name: The image's name here.
            target: Its name with the registry's address.
        """
        with self._alone():
            self._buildah("push", "--quiet", "--tls-verify=false", name, f"docker://{target}")

    def _find(self, name: str) -> str:
        """Return the id of an image; empty where there is none."""
        return self._buildah("images", "--quiet", "--no-trunc", "--filter", f"reference={name}")

    def _write_archive(self, name: str, identity: str, archive: Path) -> None:
        """Write an image to a file, which is kept for the next cluster with the same image."""
        kept = self._cache / "archives" / f"{identity.removeprefix('sha256:')}.tar"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            for other in kept.parent.glob("*.partial"):
                other.unlink()
            partial = kept.with_suffix(".partial")
            self._buildah("push", "--quiet", name, f"docker-archive:{partial}:{name}")
            partial.replace(kept)
        archive.symlink_to(kept)

    def _ensure_base(self) -> None:
        if self._find(_BASE_IMAGE):
            return
        self._progress("making a base image with debootstrap (once; some minutes)")
        root = self._cache / "base"
        self._remove(root)
        self._run(
            "debootstrap", "--variant=minbase", f"--include={','.join(_BASE_PACKAGES)}", _SUITE, str(root), _mirror()
        )
        # As in the image of this name: `python`, and a pip that installs.
        (root / "usr/bin/python").symlink_to("python3")
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        for package in root.glob("var/cache/apt/archives/*.deb"):
            package.unlink()
        container = self._buildah("from", "scratch")
        self._buildah("copy", "--quiet", container, str(root), "/")
        self._buildah("config", "--cmd", "python3", container)
        self._buildah("commit", "--quiet", "--rm", container, _BASE_IMAGE)
        self._remove(root)

    def _remove(self, root: Path) -> None:
        self._run("rm", "--recursive", "--force", "--one-file-system", str(root))

    def _buildah(self, *arguments: str) -> str:
        storage = (f"--root={self._cache / 'storage'}", f"--runroot={self._cache / 'run'}", "--storage-driver=overlay")
        return self._run("buildah", *storage, *arguments)

    def _run(self, *command: str) -> str:
        """Run a command, which ends with this process, as its mounts do; return the last line of its output."""
        with self._log.open("ab") as log:
            done = subprocess.run(
                [*launched(os.getpid()), "unshare", "--mount", "nice", "-n", "2", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
            log.write(done.stdout)
        output = done.stdout.decode(errors="replace").strip().splitlines()
        if done.returncode != 0:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
            tail = "".join(f"\n    {line}" for line in lines)
            raise ToolchainError(f"`{' '.join(command)}` ended with {done.returncode}; the end of {self._log}:{tail}")
        return output[-1] if output else ""

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the cache: two builds at once would make the base twice."""
        self._cache.mkdir(parents=True, exist_ok=True)
        with (self._cache / "lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            yield


def _fill(root: Path, files: Sequence[tuple[Path, str]]) -> None:
    """Make the files of a small image."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ToolchainError("busybox is not on PATH: install Debian's package busybox-static")
    (root / "bin").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    for command in _COMMANDS:
        (root / "bin" / command).symlink_to("busybox")
    for source, target in files:
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
        place.chmod(0o755)
    # The builder's folder of its own is the root of the image.
    root.chmod(0o755)


def _mirror() -> str:
    """Return the address that this machine takes Debian from; debootstrap's default where apt names none."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)", f"Codename: {_SUITE}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return next(iter(done.stdout.split()), "http://deb.debian.org/debian")
