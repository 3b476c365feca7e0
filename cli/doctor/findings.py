"""What a check found, and checks that always end."""

import asyncio
from collections.abc import Awaitable, Sequence
from enum import StrEnum

from pydantic import BaseModel


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(BaseModel):
    """One line of the report."""

    check: str
    """What was looked at, such as `temporal`."""
    where: str
    """The server, object or folder."""
    level: Level
    message: str
    mend: str = ""
    """What to do about it; empty where all is well."""


class Check:
    """Makes the findings of one subject."""

    def __init__(self, name: str, where: str) -> None:
        """Take what is looked at, and where it is."""
        self.name = name
        self.where = where

    def ok(self, message: str) -> Finding:
        """All is well."""
        return Finding(check=self.name, where=self.where, level=Level.OK, message=message)

    def warning(self, message: str, mend: str) -> Finding:
        """It works, though less well, or it could not be looked at."""
        return Finding(check=self.name, where=self.where, level=Level.WARNING, message=message, mend=mend)

    def failure(self, message: str, mend: str) -> Finding:
        """It does not work."""
        return Finding(check=self.name, where=self.where, level=Level.FAILURE, message=message, mend=mend)


async def within(seconds: float, check: Check, work: Awaitable[list[Finding]]) -> list[Finding]:
    """Run a check that must not outlast its time and whose accidents are findings too.

    Args:
        seconds: How long it may take.
        check: Whose findings these are.
        work: The check.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return [check.failure(f"no answer within {seconds:g} s", f"see whether {check.where} is up and reachable")]
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide what the others found
        # The type alone: an error that nobody foresaw may quote anything, a password too.
        return [check.failure(f"the check itself failed: {type(error).__name__}", "report this as a bug")]


async def all_of(*works: Awaitable[list[Finding]]) -> list[Finding]:
    """Run checks at once and return their findings in the order given."""
    return [finding for found in await asyncio.gather(*works) for finding in found]


def worst(findings: Sequence[Finding]) -> Level:
    """Return the worst level among findings."""
    found = {finding.level for finding in findings}
    return next((level for level in (Level.FAILURE, Level.WARNING) if level in found), Level.OK)
