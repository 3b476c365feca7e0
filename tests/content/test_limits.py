"""Rates, and content that is kept."""

import asyncio

import pytest

from porchflow.content.access.rate_limits import RateLimit
from porchflow.content.packages.content_cache import ContentCache
from porchflow.content.packages.encoding import Encoded
from porchflow.content.refusals import ApiError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_up_at_its_rate() -> None:
    clock = Clock()
    limit = RateLimit(per_second=2, burst=3, clock=clock)
    for _ in range(3):
        limit.take("ada")
    with pytest.raises(ApiError) as error:
        limit.take("ada")
    assert (error.value.code, error.value.retry_after) == (429, 1)
    limit.take("bob")
    clock.now += 1
    for _ in range(2):
        limit.take("ada")
    with pytest.raises(ApiError):
        limit.take("ada")
    clock.now += 1000
    for _ in range(3):
        limit.take("ada")
    with pytest.raises(ApiError):
        limit.take("ada")


def test_a_slow_rate_says_how_long_to_wait() -> None:
    limit = RateLimit(per_second=0.1, burst=1, clock=Clock())
    limit.take("ada")
    with pytest.raises(ApiError) as error:
        limit.take("ada")
    assert error.value.retry_after == 10


async def _content(size: int) -> Encoded:
    return Encoded((b"x" * size,), 1)


async def test_those_who_want_the_same_wait_for_one_reading() -> None:
    cache, go = ContentCache(100), asyncio.Event()

    async def load() -> Encoded:
        await go.wait()
        return await _content(10)

    first, *others = [asyncio.create_task(cache.get("a", load)) for _ in range(50)]
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert {(await each).size for each in others} == {10}
    assert cache.loads == 1
    assert (await cache.get("a", load)).size == 10
    assert cache.loads == 1, "it is kept"


async def test_a_reading_goes_on_without_those_who_wanted_it_for_their_next_attempt() -> None:
    cache, go = ContentCache(100), asyncio.Event()

    async def load() -> Encoded:
        await go.wait()
        return await _content(10)

    impatient = asyncio.create_task(cache.get("a", load))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    go.set()
    assert (await cache.get("a", load)).size == 10
    assert cache.loads == 1


async def test_what_is_kept_stays_within_its_limit() -> None:
    cache = ContentCache(100)
    for key in "abc":
        await cache.get(key, lambda: _content(40))
    assert cache.size == 80
    await cache.get("b", lambda: _content(40))
    assert cache.loads == 3
    await cache.get("d", lambda: _content(40))
    await cache.get("b", lambda: _content(40))
    assert cache.loads == 4, "what was used last is kept"
    await cache.get("large", lambda: _content(60))
    assert cache.size == 80, "what would drive out the rest is not kept"


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    cache = ContentCache(100)

    async def fail() -> Encoded:
        await asyncio.sleep(0)
        raise OSError("away")

    results = await asyncio.gather(*(cache.get("a", fail) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["away"] * 3
    assert (await cache.get("a", lambda: _content(10))).size == 10
