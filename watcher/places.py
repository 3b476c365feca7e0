"""Which Repositories a push concerns."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from porchflow.kube.following import Key, key_of
from porchflow.watcher.references import References

_HEADS = "refs/heads/"
_TAGS = "refs/tags/"
_PACKAGE_BRANCHES = ("drafts/", "proposed/", "deletionProposed/")
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git+ssh": 22, "ssh+git": 22}
_SHORT = re.compile(r"(?:[^/@:\s]+@)?(?P<host>[^/@:\s]+):(?P<path>(?!//)[^\s]+)")
"""`git@host:path`."""

Place = tuple[str, int, str]
"""Host, port and path: equal for addresses of one repository over one protocol."""


class Places:
    """Repositories by where they are."""

    def __init__(self) -> None:
        self._branches = References[Place, tuple[Key, str]]()

    def note(self, repository: Mapping[str, Any]) -> None:
        """Take a raw Repository as it is now."""
        key, git = key_of(repository), (repository.get("spec") or {}).get("git") or {}
        place = place_of(str(git.get("repo") or ""))
        self._branches.note(key, [place] if place is not None else [], (key, str(git.get("branch") or "main")))

    def forget(self, key: Key) -> None:
        """The Repository is gone."""
        self._branches.forget(key)

    def concerned(self, addresses: Iterable[str], ref: str) -> list[Key]:
        """Return the Repositories at one of the addresses whose packages a ref may hold."""
        places = {place_of(address): None for address in addresses}
        found = [key for place in places if place is not None for key, _ in self._branches.owners(place)]
        return [key for key in dict.fromkeys(found) if self.holds(key, ref)]

    def holds(self, key: Key, ref: str) -> bool:
        """Whether a ref may hold packages of a Repository; False for one that is not known."""
        registered = self._branches.owner(key)
        if registered is None:
            return False
        branch = ref.removeprefix(_HEADS)
        ours = branch == registered[1] or branch.startswith(_PACKAGE_BRANCHES)
        return ref.startswith(_TAGS) or (ref.startswith(_HEADS) and ours)


def place_of(address: str) -> Place | None:
    """Return where a repository is; None for what is no address.

    The scheme counts by its port alone, the user and a final `.git` not at all.
    """
    short = _SHORT.fullmatch(address) if "://" not in address else None
    try:
        parts = urlsplit(f"ssh://{short['host']}/{short['path']}" if short else address)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or not port:
        return None
    return parts.hostname, port, parts.path.strip("/").removesuffix(".git").lower()
