"""Findings of checks, and a time limit around each check."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import BaseModel

ASK_A_READER: Final = "run it as somebody who may read it"
"""How to mend that the credentials at hand may not read something."""


_AT_ONCE: Final = 16
"""Calls at once; more make Temporal no quicker."""

_Answer = TypeVar("_Answer")


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(BaseModel):
    """One line of the report."""

    check: str
    """The subject, such as `temporal`."""
    where: str
    """The server, object or folder."""
    level: Level
    message: str
    mend: str = ""
    """How to mend it; empty for `ok`."""


class Check:
    """Makes the findings of one subject.

    Attributes:
        name: The subject, such as `temporal`.
        where: The server, object or folder.
    """

    def __init__(self, name: str, where: str) -> None:
        self.name = name
        self.where = where

    def ok(self, message: str) -> Finding:
        """Return the finding that the subject works."""
        return Finding(check=self.name, where=self.where, level=Level.OK, message=message)

    def warning(self, message: str, mend: str) -> Finding:
        """Return the finding that the subject works in part, or could not be checked."""
        return Finding(check=self.name, where=self.where, level=Level.WARNING, message=message, mend=mend)

    def unreadable(self, why: object = "") -> Finding:
        """Return the finding that the credentials at hand may not read the subject.

        Args:
            why: The refusal, in the API server's words; empty to leave them out.
        """
        told = f"may not be read: {why}" if why else "may not be read with these credentials"
        return self.warning(told, ASK_A_READER)

    def failure(self, message: str, mend: str) -> Finding:
        """Return the finding that the subject does not work."""
        return Finding(check=self.name, where=self.where, level=Level.FAILURE, message=message, mend=mend)


async def within(seconds: float, check: Check, work: Awaitable[list[Finding]]) -> list[Finding]:
    """Run a check within a time limit; a timeout and an unexpected error become findings.

    Args:
        seconds: The time limit.
        check: The subject, for these findings.
        work: The check.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return [check.failure(f"no answer within {seconds:g} s", f"see whether {check.where} is up and reachable")]
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide what the others found
        # The type alone, because the message of an unexpected error may hold anything, even a password.
        return [check.failure(f"the check itself failed: {type(error).__name__}", "report this as a bug")]


async def all_of(*works: Awaitable[list[Finding]]) -> list[Finding]:
    """Run checks at once and return their findings, in the order of the arguments."""
    return [finding for found in await asyncio.gather(*works) for finding in found]


async def at_once(works: Iterable[Awaitable[_Answer]]) -> list[_Answer]:
    """Return the answers of calls of one server, a few of which run at once, in their order."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(work: Awaitable[_Answer]) -> _Answer:
        async with slots:
            return await work

    return await asyncio.gather(*(one(work) for work in works))


def worst(findings: Sequence[Finding]) -> Level:
    """Return the worst level among findings."""
    found = {finding.level for finding in findings}
    return next((level for level in (Level.FAILURE, Level.WARNING) if level in found), Level.OK)
