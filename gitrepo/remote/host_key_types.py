"""Requests a server's host key of a type that is known of it.

libgit2 requests the types that the file `.ssh/known_hosts` in the home folder has for a server, and its own favourite
where there are none. Its judgement of the key is not used: the `known_hosts` of each remote's Secret decides. So the
home folder of libgit2 is one of ours, with the public keys of the servers in use.
"""

import contextlib
import os
import threading
from pathlib import Path

import pygit2

from porchflow.gitrepo.remote.known_hosts import HostKey, KnownHosts, known_hosts_line

_MOST_SERVERS = 1000


class _Home:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._known: dict[tuple[str, int], list[HostKey]] = {}

    def move(self, folder: Path) -> None:
        with self._lock:
            self._file = folder / ".ssh" / "known_hosts"
            self._write()
            pygit2.settings.homedir = str(folder)

    def note(self, host: str, port: int, known: KnownHosts) -> None:
        keys = known.keys(host, port)
        with self._lock:
            if self._file is None or (self._known.get((host, port)) == keys and self._file.exists()):
                return
            if len(self._known) >= _MOST_SERVERS:
                self._known.clear()
            self._known[host, port] = keys
            # Without the file a server shows another of its keys; the check of that key reports what is wrong.
            with contextlib.suppress(OSError):
                self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        lines = [known_hosts_line(host, port, key) for (host, port), keys in self._known.items() for key in keys]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        partial.write_text("".join(f"{line}\n" for line in lines))
        partial.replace(self._file)


_home = _Home()


def keep_host_keys_in(folder: Path) -> None:
    """Set the home folder of libgit2, which keeps it for the process; the user's own is not read."""
    _home.move(folder)


def prefer_known_types(host: str, port: int, known: KnownHosts) -> None:
    """Request a host key of a type that is known of the server."""
    _home.note(host, port, known)
