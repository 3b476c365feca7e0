"""Index from the address and ref of a push to the Repositories that it concerns."""

from collections.abc import Iterable, Mapping
from typing import Any

from porchflow.api.git_address import BadAddress, parse
from porchflow.kube.following import Key, key_of
from porchflow.watcher.indexes.references import References

_HEADS = "refs/heads/"
_TAGS = "refs/tags/"
_PACKAGE_BRANCHES = ("drafts/", "proposed/", "deletionProposed/")


class Places:
    """Repositories by address."""

    def __init__(self) -> None:
        self._branches = References[str, tuple[Key, str]]()

    def note(self, repository: Mapping[str, Any]) -> None:
        """Record a raw Repository as it is now."""
        key, git = key_of(repository), (repository.get("spec") or {}).get("git") or {}
        place = heard_place(str(git.get("repo") or ""))
        self._branches.note(key, [place] if place is not None else [], (key, str(git.get("branch") or "main")))

    def forget(self, key: Key) -> None:
        """Drop a Repository that is gone."""
        self._branches.forget(key)

    def concerned(self, addresses: Iterable[str], ref: str) -> list[Key]:
        """Return the Repositories at one of the addresses whose packages a ref may hold."""
        places = {heard_place(address): None for address in addresses}
        found = [key for place in places if place is not None for key, _ in self._branches.owners(place)]
        return [key for key in dict.fromkeys(found) if self.holds(key, ref)]

    def holds(self, key: Key, ref: str) -> bool:
        """Return whether a ref may hold packages of a Repository; False for a Repository that is not known."""
        registered = self._branches.owner(key)
        if registered is None:
            return False
        branch = ref.removeprefix(_HEADS)
        ours = branch == registered[1] or branch.startswith(_PACKAGE_BRANCHES)
        return ref.startswith(_TAGS) or (ref.startswith(_HEADS) and ours)


def heard_place(address: str) -> str | None:
    """Return the place that an address of a forge or Repository means (`GitAddress.place_for_hints`), if it is one."""
    try:
        return parse(address).place_for_hints
    except BadAddress:
        return None
