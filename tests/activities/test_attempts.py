"""Local first attempts leave the workflow's task in time, and leave room for other repositories."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from activities.attempts import FirstAttempts
from activities.failures import HandedOver


async def test_a_repository_takes_its_share_of_local_attempts_and_no_more() -> None:
    attempts = FirstAttempts(limit=2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(attempts.attempt("https://one"))
        with pytest.raises(HandedOver):
            await stack.enter_async_context(attempts.attempt("https://one"))
        await stack.enter_async_context(attempts.attempt("https://two"))
    async with attempts.attempt("https://one"):
        """There is room again."""


async def test_an_attempt_that_takes_too_long_is_handed_over_and_so_are_the_next() -> None:
    attempts = FirstAttempts(limit=2, deadline=0.01)
    with pytest.raises(HandedOver):
        async with attempts.attempt("https://one"):
            await asyncio.Event().wait()
    with pytest.raises(HandedOver):
        async with attempts.attempt("https://one"):
            pytest.fail("a repository that hangs is not tried again at once")
    async with attempts.attempt("https://two"):
        """Others are not concerned."""


async def test_a_repository_that_is_away_is_not_tried_locally() -> None:
    attempts = FirstAttempts(limit=2)
    attempts.slow("https://one")
    with pytest.raises(HandedOver):
        async with attempts.attempt("https://one"):
            pytest.fail("it was said to be away")


async def test_an_error_of_the_attempt_is_its_own() -> None:
    attempts = FirstAttempts(limit=1)
    with pytest.raises(ValueError, match="bad"):
        async with attempts.attempt("https://one"):
            raise ValueError("bad")
    async with attempts.attempt("https://one"):
        """It gave its place back."""
