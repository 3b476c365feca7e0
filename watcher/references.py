"""Who names which Secret."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from porchflow.watcher.needs import Key

Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class _Noted(Generic[Owner]):
    secrets: frozenset[Key]
    owner: Owner


class References(Generic[Owner]):
    """Objects by the Secrets that they name; as small as the number of objects that name one."""

    def __init__(self) -> None:
        self._noted: dict[Key, _Noted[Owner]] = {}
        self._by_secret: dict[Key, dict[Key, None]] = {}

    def note(self, key: Key, secrets: Iterable[Key], owner: Owner) -> None:
        """Take the Secrets that an object names now.

        Args:
            key: Namespace and name of the object.
            secrets: Namespace and name of each Secret; they need not exist.
            owner: What is to be given back for the object.
        """
        self.forget(key)
        noted = _Noted(frozenset(secrets), owner)
        if noted.secrets:
            self._noted[key] = noted
        for secret in noted.secrets:
            self._by_secret.setdefault(secret, {})[key] = None

    def forget(self, key: Key) -> None:
        """The object names none any more."""
        noted = self._noted.pop(key, None)
        for secret in noted.secrets if noted else ():
            owners = self._by_secret[secret]
            del owners[key]
            if not owners:
                del self._by_secret[secret]

    def owners(self, secret: Key) -> Iterator[Owner]:
        """Return the objects that name a Secret."""
        return iter([self._noted[key].owner for key in self._by_secret.get(secret, ())])
