"""A remote's refs at one moment, with the pending updates of a group of changes."""

from collections.abc import Callable, Iterable, Iterator

import pygit2

from porchflow.gitrepo.errors import GitConflict, GitNoCommit, GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.refs import short_ref
from porchflow.gitrepo.remote.transport import Refs, RefUpdate
from porchflow.gitrepo.store.trees import commit_at

Fetch = Callable[[Iterable[str]], None]
"""Makes refs of the remote (by full name) or commits (by id) available locally."""


class RefView:
    """The refs of a remote as they will be after a push of all applied updates."""

    def __init__(self, repo: pygit2.Repository, refs: Refs, fetch: Fetch) -> None:
        """Create a view without updates.

        Args:
            repo: The local repository.
            refs: The remote's refs.
            fetch: Fetches refs and commits.
        """
        self.remote_refs = refs
        self._repo = repo
        self.assumed: set[str] = set()
        """Refs that were read with the update of an earlier change: the reader relies on that change."""
        self.is_second_look = False
        """Whether the reader did not find its refs in the list before this one either."""
        self._applied: dict[str, pygit2.Oid | None] = {}
        self._fetch = fetch

    @property
    def changed(self) -> bool:
        """Whether a change was applied."""
        return bool(self._applied)

    def get(self, ref: str) -> pygit2.Oid | None:
        """Return the id at a ref; None if there is no such ref."""
        if ref in self._applied:
            self.assumed.add(ref)
        return self._at(ref)

    def directly_below(self, folder: str) -> dict[str, pygit2.Oid]:
        """Return the refs one level below a folder."""
        applied = {ref: oid for ref, oid in self._applied.items() if ref.rpartition("/")[0] == folder}
        self.assumed.update(applied)
        merged = {**self.remote_refs.directly_below(folder), **applied}
        return {ref: oid for ref, oid in merged.items() if oid is not None}

    def folders_below(self, folder: str) -> list[str]:
        """Return the folders below a folder that hold refs, at any depth, sorted; the folder itself is not included."""
        applied = {ref.rpartition("/")[0] for ref in self._applied if ref.startswith(f"{folder}/")}
        found = {each for each in applied if each != folder} | {*self.remote_refs.folders_below(folder)}
        return sorted(each for each in found if self.directly_below(each))

    def __iter__(self) -> Iterator[str]:
        return (ref for ref in dict.fromkeys([*self.remote_refs, *self._applied]) if self._at(ref) is not None)

    def believe_absent(self, what: str) -> None:
        """Accept that refs do not exist, if two lists in a row lack them.

        A server lists its refs folder by folder while it moves them for another push. Such a list may show a draft
        neither at its old place nor at its new one.

        Args:
            what: What the list lacks, for the message.

        Raises:
            GitNotFound: This is the first list without them. The push repeats the change with another list.
        """
        if not self.is_second_look:
            raise GitNotFound(f"there is no {what}")

    def require(self, wanted: Iterable[str]) -> None:
        """Fetch the missing objects of refs and commits, with one fetch at most."""
        self._fetch(wanted)

    def commit(self, ref: str) -> pygit2.Commit | None:
        """Read the commit at a ref, and fetch it if it is missing; None if there is no such ref.

        Raises:
            GitNoCommit: The ref marks no commit.
            GitQuotaExceeded: The commit is too large, or behind too many tags.
        """
        oid = self.get(ref)
        if oid is None:
            return None
        if oid not in self._repo:
            self._fetch([ref])
        try:
            return commit_at(self._repo, oid)
        except GitNoCommit as error:
            raise GitNoCommit(f"{short_ref(ref)} marks no commit: {error}; move or delete it") from None

    def marked(self, ref: str) -> pygit2.Commit | None:
        """Read the commit at a ref that may mark anything; None where it marks no commit that can be used."""
        try:
            return self.commit(ref)
        except (GitNoCommit, GitQuotaExceeded):
            return None

    def commit_by_id(self, commit: str) -> pygit2.Commit:
        """Read a commit, and fetch it if it is missing.

        Raises:
            GitNotFound: The remote has no such commit, or does not give it.
        """
        if commit not in self._repo:
            self._fetch([commit])
        return commit_at(self._repo, pygit2.Oid(hex=commit))

    def apply(self, updates: Iterable[RefUpdate]) -> None:
        """Add updates to the view, for later changes; on an error none is added.

        Raises:
            GitConflict: A ref is not at the id that its update expects.
        """
        updates = list(updates)
        for update in updates:
            if self._at(update.ref) != update.old:
                raise GitConflict(f"{update}: the ref is at {self._at(update.ref) or 'nothing'}")
        self._applied.update((update.ref, update.new) for update in updates)

    def _at(self, ref: str) -> pygit2.Oid | None:
        return self._applied[ref] if ref in self._applied else self.remote_refs.get(ref)
