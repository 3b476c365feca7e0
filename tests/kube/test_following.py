from collections.abc import AsyncGenerator, Iterable

import pytest

from porchflow.kube.client import Object
from porchflow.kube.following import Follower, Key, key_of
from porchflow.kube.watching import Changed, Deleted, Listed, ListEnd, ListStarted, WatchEvent


def obj(name: str) -> Object:
    return {"metadata": {"namespace": "ns", "name": name}}


async def nothing() -> AsyncGenerator[WatchEvent, None]:
    for event in ():
        yield event


class Told(Follower):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(nothing)
        self.known: dict[Key, None] = {}
        self.told: list[str] = []

    def _known_keys(self) -> Iterable[Key]:
        return self.known

    def _take(self, obj: Object, *, listed: bool) -> None:
        self.known[key_of(obj)] = None
        self.told.append(f"{'listed' if listed else 'changed'} {obj['metadata']['name']}")

    def _gone(self, key: Key) -> None:
        self.known.pop(key, None)
        self.told.append(f"gone {key[1]}")

    def _all_listed(self) -> None:
        self.told.append("all")


def test_what_a_list_does_not_have_any_more_is_gone() -> None:
    follower = Told()
    first = [ListStarted(), Listed(obj("a")), Listed(obj("b")), ListEnd("1")]
    for event in (*first, Changed("ADDED", obj("c")), Deleted(obj("b"))):
        follower.handle(event)
    assert follower.told == ["listed a", "listed b", "all", "changed c", "gone b"]
    follower.told.clear()
    for event in (ListStarted(), Listed(obj("c")), ListEnd("9")):
        follower.handle(event)
    assert follower.told == ["listed c", "gone a", "all"]


def test_a_list_that_starts_over_takes_nothing_for_gone_that_it_has() -> None:
    follower = Told()
    for event in (ListStarted(), Listed(obj("a")), ListStarted(), Listed(obj("a")), ListEnd("1")):
        follower.handle(event)
    assert "gone a" not in follower.told


async def test_a_watch_that_ends_is_no_quiet_end() -> None:
    with pytest.raises(AssertionError, match="does not end"):
        await Told().run()
