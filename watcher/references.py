"""Which objects name what: an index that is kept as the objects change."""

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
    """Objects by what they name; as small as the number of objects that name something."""

    _noted: dict[Key, _Noted[Name, Owner]] = field(default_factory=dict)
    _by_name: dict[Name, dict[Key, None]] = field(default_factory=dict)

    def note(self, key: Key, names: Iterable[Name], owner: Owner) -> None:
        """Take what an object names now.

        Args:
            key: Namespace and name of the object.
            names: What it names, such as the namespace and name of a Secret; it need not exist.
            owner: What is to be given back for the object.
        """
        self.forget(key)
        noted = _Noted(tuple(dict.fromkeys(names)), owner)
        if noted.names:
            self._noted[key] = noted
        for name in noted.names:
            self._by_name.setdefault(name, {})[key] = None

    def forget(self, key: Key) -> None:
        """The object names nothing any more."""
        noted = self._noted.pop(key, None)
        for name in noted.names if noted else ():
            keys = self._by_name[name]
            del keys[key]
            if not keys:
                del self._by_name[name]

    def owners(self, name: Name) -> Iterator[Owner]:
        """Return what was noted for the objects that name something."""
        return iter([self._noted[key].owner for key in self._by_name.get(name, ())])

    def owner(self, key: Key) -> Owner | None:
        """Return what was noted for an object; None for one that names nothing."""
        noted = self._noted.get(key)
        return noted.owner if noted is not None else None
