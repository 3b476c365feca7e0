"""Index from a name to the objects that name it, kept as the objects change."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from porchflow.kube.following import Key

Name = TypeVar("Name", bound=Hashable)
Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class _Noted(Generic[Name, Owner]):
    names: tuple[Name, ...]
    owner: Owner


@dataclass
class References(Generic[Name, Owner]):
    """Objects by the names that they hold; its size is the number of objects that name something."""

    _noted: dict[Key, _Noted[Name, Owner]] = field(default_factory=dict)
    _by_name: dict[Name, dict[Key, None]] = field(default_factory=dict)

    def note(self, key: Key, names: Iterable[Name], owner: Owner) -> None:
        """Record the names that an object holds now, instead of those before.

        Args:
            key: Namespace and name of the object.
            names: Such as the namespace and name of a Secret, which need not exist.
            owner: Returned by `owners` for the object.
        """
        self.forget(key)
        noted = _Noted(tuple(dict.fromkeys(names)), owner)
        if noted.names:
            self._noted[key] = noted
        for name in noted.names:
            self._by_name.setdefault(name, {})[key] = None

    def forget(self, key: Key) -> None:
        """Drop the names of an object."""
        noted = self._noted.pop(key, None)
        for name in noted.names if noted else ():
            keys = self._by_name[name]
            del keys[key]
            if not keys:
                del self._by_name[name]

    def owners(self, name: Name) -> Iterator[Owner]:
        """Return the owners that were recorded for the objects that hold a name."""
        return iter([self._noted[key].owner for key in self._by_name.get(name, ())])

    def owner(self, key: Key) -> Owner | None:
        """Return the owner that was recorded for an object; None for an object that names nothing."""
        noted = self._noted.get(key)
        return noted.owner if noted is not None else None
