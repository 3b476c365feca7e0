"""The plan of a seed: an endless sequence of actions that could all succeed, made without looking at the system."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, takewhile

from porchflow.api.models.packagerevision import Lifecycle
from soak.places import ADMINISTRATOR, APPROVER, AUTHORS, PLACES, Key, Place
from soak.work.actions import Action, Kind

SECONDS_BETWEEN = 1.5
"""Mean of the seconds between two actions: more than this, and two cores are busy with the work alone."""
_PATIENT = 0.6
"""Share of the actions after which a person waits."""
_OPEN_AT_ONCE = 2
"""Drafts and proposals of one package at most."""
_PACKAGES = 40
"""Packages of a Repository at most."""

_WEIGHTS: dict[Lifecycle, dict[Kind, float]] = {
    Lifecycle.DRAFT: {
        Kind.PUSH: 30,
        Kind.PUSH_BESIDE: 10,
        Kind.WRITE: 12,
        Kind.LABEL: 8,
        Kind.PROPOSE: 30,
        Kind.DELETE: 4,
        Kind.RECONCILE: 4,
        Kind.SUSPEND: 3,
    },
    Lifecycle.PROPOSED: {
        Kind.PUBLISH: 60,
        Kind.REJECT: 20,
        Kind.PUSH_BESIDE: 6,
        Kind.PUBLISH_AS_AUTHOR: 6,
        Kind.RECONCILE: 4,
        Kind.SUSPEND: 4,
    },
    Lifecycle.PUBLISHED: {
        Kind.COPY: 50,
        Kind.PROPOSE_DELETION: 14,
        Kind.DELETE_PUBLISHED: 5,
        Kind.RECONCILE: 4,
        Kind.INIT_AGAIN: 3,
    },
    Lifecycle.DELETION_PROPOSED: {Kind.DELETE: 50, Kind.UNDO_DELETION: 30, Kind.RECONCILE: 3},
}
_ANYWHERE: dict[Kind | None, float] = {
    Kind.INIT: 4,
    Kind.CLONE: 4,
    Kind.COMMIT: 3,
    Kind.SYNC: 2,
    Kind.REREGISTER: 0.5,
    Kind.REREGISTER_NOW: 0.4,
}
_ON_AN_OBJECT = 89.0
_AFTER: dict[Kind, Lifecycle] = {
    Kind.PROPOSE: Lifecycle.PROPOSED,
    Kind.REJECT: Lifecycle.DRAFT,
    Kind.PUBLISH: Lifecycle.PUBLISHED,
    Kind.PROPOSE_DELETION: Lifecycle.DELETION_PROPOSED,
    Kind.UNDO_DELETION: Lifecycle.PUBLISHED,
}
_BY_APPROVER = frozenset({Kind.PUBLISH, Kind.REJECT, Kind.UNDO_DELETION})
_ALWAYS_WAITED_FOR = frozenset(
    {Kind.SUSPEND, Kind.RESUME, Kind.COMMIT, Kind.SYNC, Kind.REREGISTER, Kind.REREGISTER_NOW, Kind.INIT_AGAIN}
)


@dataclass(eq=False)
class _Revision:
    """A revision as the plan has it.

    Attributes:
        upstream: The revision that it was cloned from or upgraded to.
        published: Number of the action that published it last.
        used: Whether another one is made from it; such a one is never deleted.
        settled: Whether the person waited after the last action on it.
        doomed: Whether it was deleted.
    """

    key: Key
    lifecycle: Lifecycle = Lifecycle.DRAFT
    upstream: "_Revision | None" = None
    published: int = 0
    used: bool = False
    suspended: bool = False
    settled: bool = True
    doomed: bool = False


@dataclass(eq=False)
class _Package:
    place: Place
    name: str
    revisions: list[_Revision] = field(default_factory=list)
    workspaces: Iterator[int] = field(default_factory=lambda: count(1))

    def published(self) -> list[_Revision]:
        """The revisions that are published and stay."""
        return [each for each in self.revisions if each.lifecycle is Lifecycle.PUBLISHED and not each.suspended]

    def is_full(self) -> bool:
        """Whether as many drafts and proposals are open as there may be."""
        return sum(not each.lifecycle.is_published for each in self.revisions) >= _OPEN_AT_ONCE


class Plan:
    """Makes the actions of one seed."""

    def __init__(self, seed: int) -> None:
        """Create the plan of a seed."""
        # A generator of its own: faults must not change the actions.
        self._random = random.Random(f"actions {seed}")  # noqa: S311 - a seed has to repeat it
        self._packages: list[_Package] = []
        self._numbers = count(1)
        self._names = count(1)
        self._at = 0.0

    def until(self, seconds: float) -> list[Action]:
        """Return the actions of a new plan that begin before a moment; a longer plan begins with a shorter one."""
        return list(takewhile(lambda action: action.at < seconds, self._actions()))

    def _actions(self) -> Iterator[Action]:
        while True:
            if (action := self._next()) is not None:
                yield action

    def _next(self) -> Action | None:
        draw = self._random
        kinds = {**_ANYWHERE, None: _ON_AN_OBJECT}
        kind = draw.choices(list(kinds), list(kinds.values()))[0]
        makers: dict[Kind | None, Callable[[], Action | None]] = {
            Kind.INIT: self._init,
            Kind.CLONE: self._clone,
            None: self._on_an_object,
        }
        make = makers.get(kind)
        return make() if make else self._action(kind or Kind.SYNC, draw.choice(PLACES))

    def _init(self) -> Action | None:
        return self._create(Kind.INIT, self._new_package(self._random.choice(PLACES)))

    def _clone(self) -> Action | None:
        upstreams = [each for package in self._packages for each in package.published()]
        if not upstreams:
            return None
        upstream = self._random.choice(upstreams)
        places = [each for each in PLACES if each.namespace == upstream.key.namespace]
        package = self._new_package(self._random.choice(places))
        return self._create(Kind.CLONE, package, upstream, upstream=upstream)

    def _new_package(self, place: Place) -> _Package | None:
        if sum(each.place == place for each in self._packages) >= _PACKAGES:
            return None
        package = _Package(place, f"pkg-{next(self._names)}")
        self._packages.append(package)
        return package

    def _create(
        self, kind: Kind, package: _Package | None, *sources: _Revision, upstream: _Revision | None = None
    ) -> Action | None:
        if package is None:
            return None
        key = Key(package.place, package.name, f"w{next(package.workspaces)}")
        revision = _Revision(key, upstream=upstream)
        package.revisions.append(revision)
        for source in sources:
            source.used = True
        return self._action(kind, package.place, revision, sources)

    def _on_an_object(self) -> Action | None:
        if not self._packages:
            return None
        # Packages of late more often: else most actions are copies of old ones.
        package = self._packages[-1 - int(self._random.expovariate(1 / 8)) % len(self._packages)]
        revisions = [each for each in package.revisions if not each.doomed]
        if not revisions:
            return None
        revision = self._random.choice(revisions)
        if revision.suspended:
            revision.suspended = False
            return self._action(Kind.RESUME, package.place, revision)
        weights = _WEIGHTS[revision.lifecycle]
        kind = self._random.choices(list(weights), list(weights.values()))[0]
        return self._step(kind, package, revision)

    def _step(self, kind: Kind, package: _Package, revision: _Revision) -> Action | None:
        if kind is Kind.COPY:
            return self._next_revision(package, revision)
        if kind is Kind.INIT_AGAIN:
            key = Key(package.place, package.name, f"again{next(package.workspaces)}")
            return self._action(kind, package.place, _Revision(key), after=(revision.published,))
        if kind is Kind.SUSPEND and not revision.settled:
            return None
        if kind is Kind.PROPOSE_DELETION and revision.used:
            return None
        revision.suspended = kind is Kind.SUSPEND
        revision.doomed = kind is Kind.DELETE
        action = self._action(kind, package.place, revision)
        revision.lifecycle = _AFTER.get(kind, revision.lifecycle)
        revision.published = action.number if kind is Kind.PUBLISH else revision.published
        if kind is Kind.DELETE:
            package.revisions = [each for each in package.revisions if each is not revision or each.published]
        return action

    def _next_revision(self, package: _Package, revision: _Revision) -> Action | None:
        """Return an upgrade where there is a newer upstream, else a copy."""
        if package.is_full():
            return None
        newer = self._newer_upstream(revision)
        if revision.upstream is None or newer is None:
            return self._create(Kind.COPY, package, revision, upstream=revision.upstream)
        return self._create(Kind.UPGRADE, package, revision.upstream, newer, revision, upstream=newer)

    def _newer_upstream(self, revision: _Revision) -> _Revision | None:
        old = revision.upstream
        for package in self._packages:
            if old in package.revisions:
                return next((each for each in package.published() if each.published > old.published), None)
        return None

    def _action(
        self,
        kind: Kind,
        place: Place,
        revision: _Revision | None = None,
        sources: tuple[_Revision, ...] = (),
        after: tuple[int, ...] = (),
    ) -> Action:
        self._at += self._random.expovariate(1 / SECONDS_BETWEEN)
        waits = kind in _ALWAYS_WAITED_FOR or self._random.random() < _PATIENT
        if revision is not None and kind is not Kind.PUSH_BESIDE:
            revision.settled = waits
        return Action(
            number=next(self._numbers),
            at=round(self._at, 2),
            user=self._user(kind, revision),
            kind=kind,
            place=place,
            key=revision.key if revision else None,
            sources=tuple(source.key for source in sources),
            after=after or tuple(source.published for source in sources),
            waits=waits,
        )

    def _user(self, kind: Kind, revision: _Revision | None) -> str:
        if revision is None:
            return ADMINISTRATOR
        agreed = kind is Kind.DELETE and revision.lifecycle is Lifecycle.DELETION_PROPOSED
        return APPROVER if kind in _BY_APPROVER or agreed else self._random.choice(AUTHORS)
