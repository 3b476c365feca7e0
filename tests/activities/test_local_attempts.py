"""Local first attempts leave the workflow's task in time, and leave room for other repositories."""

import asyncio

import pytest

from porchflow.activities.running.local_attempts import FirstAttempts
from porchflow.repositories.failures import HandedOver

ONE, TWO = "https://one", "https://two"


async def is_let_in(attempts: FirstAttempts, repository: str) -> bool:
    try:
        async with attempts.attempt(repository):
            return True
    except HandedOver:
        return False


async def hang(attempts: FirstAttempts, repository: str) -> None:
    with pytest.raises(HandedOver):
        async with attempts.attempt(repository):
            await asyncio.Event().wait()


async def test_an_attempt_that_takes_too_long_is_handed_over_and_so_are_the_next() -> None:
    attempts = FirstAttempts(deadline=0.01)
    await hang(attempts, ONE)
    assert not await is_let_in(attempts, ONE)
    assert await is_let_in(attempts, TWO), "others are not concerned"


async def test_one_attempt_finds_out_whether_a_repository_is_back() -> None:
    attempts = FirstAttempts(slow=0)
    attempts.slow(ONE)
    async with attempts.attempt(ONE):
        assert not await is_let_in(attempts, ONE), "one is enough to find out"
    async with attempts.attempt(ONE):
        assert await is_let_in(attempts, ONE), "it is back"


async def test_a_repository_that_is_still_away_stays_so() -> None:
    attempts = FirstAttempts(deadline=0.01, slow=0)
    attempts.slow(ONE)
    await hang(attempts, ONE)
    async with attempts.attempt(ONE):
        assert not await is_let_in(attempts, ONE)


async def test_an_error_of_the_attempt_is_its_own() -> None:
    attempts = FirstAttempts()
    with pytest.raises(ValueError, match="bad"):
        async with attempts.attempt(ONE):
            raise ValueError("bad")
    assert await is_let_in(attempts, ONE)
