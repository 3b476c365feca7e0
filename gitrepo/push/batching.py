"""One request for all callers that wait: the single flight behind listings, fetches and pushes."""

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Generic, TypeVar

from porchflow.gitrepo.remote.call import Call

logger = logging.getLogger(__name__)

_LONGEST_GATHERING = 0.3
"""Seconds that a batch waits for more items at most, while they keep coming."""
_QUIET = 0.05
"""Seconds without another item after which a batch starts: longer than the gaps between items of one burst."""


class QueueFullError(Exception):
    """More items wait than can be served in any useful time."""


Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Runs a blocking handler on all items that wait; one batch at a time.

    An item is served by a batch that starts after its submission, never by one in progress: the data that the batch
    reads is therefore never older than the request. A single item is served at once; while batches follow one another,
    each gathers for as long as the one before took, or until no more items come.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        pool: Executor,
        *,
        limit: int = 100,
        gathering: float = 0.0,
        most_waiting: int = 10_000,
        irrevocable: bool = False,
        turn: Callable[[Sequence[Item]], AbstractAsyncContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        """Create a batcher.

        Args:
            handle: Returns one result or error per item.
            pool: Threads for the handler.
            limit: Items of a batch at most.
            gathering: Seconds that the first batch waits for more items.
            most_waiting: Items that may wait.
            irrevocable: Whether a cancelled caller waits for the batch that took its item, because the item cannot be
                taken back.
            turn: Called with the items that wait, and entered before the batch takes them: items that arrive meanwhile
                join the batch. It must not fail.
        """
        self._handle = handle
        self._pool = pool
        self._limit = limit
        self._gathering = gathering
        self._most_waiting = most_waiting
        self._irrevocable = irrevocable
        self._turn = turn
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._taken: set[asyncio.Future[Result]] = set()
        self._runner: asyncio.Task[None] | None = None
        self.call = Call()
        """The call of the batch in progress, for its handler; ended when nobody waits for the batch any more."""

    async def submit(self, item: Item) -> Result:
        """Wait for an item's result.

        A cancelled item that no batch took yet is never handled.

        Raises:
            QueueFullError: Too many items wait; nothing was done.
        """
        if len(self._waiting) >= self._most_waiting:
            raise QueueFullError(f"{len(self._waiting)} changes wait already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if self._irrevocable and future in self._taken:
                await asyncio.wait([future])
                # The result is of no use to the cancelled caller; but asyncio logs an exception that nobody retrieved.
                _ = future.cancelled() or future.exception()
            future.cancel()
            if not self._irrevocable and future in self._taken and all(each.done() for each in self._taken):
                self.call.end()
            raise

    @property
    def is_idle(self) -> bool:
        """Whether no item waits or is handled."""
        return self._runner is None

    async def close(self) -> None:
        """Drop the items that wait, and wait for the batch in progress, which is broken off if it may be."""
        for _, future in self._waiting:
            future.cancel()
        if not self._irrevocable:
            self.call.end("the store was closed")
        if self._runner:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        try:
            # Items that are submitted in the same turn of the event loop share the first batch.
            await asyncio.sleep(self._gathering)
            while self._waiting:
                async with self._turn([item for item, _ in self._waiting]):
                    started = time.monotonic()
                    if batch := self._take():
                        await self._serve(batch)
                if self._waiting:
                    # Other items are probably on their way: waiting as long again lets more of them share the next
                    # batch.
                    await self._gather(min(time.monotonic() - started, _LONGEST_GATHERING))
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            waiting, self._waiting = self._waiting, []
            futures = [future for future in (*self._taken, *(each for _, each in waiting)) if not future.done()]
            for future, each in zip(futures, shared_error(error, len(futures)), strict=True):
                future.set_exception(each)
        finally:
            self._runner = None

    async def _gather(self, longest: float) -> None:
        until = time.monotonic() + longest
        waiting = 0
        while len(self._waiting) > waiting and (left := until - time.monotonic()) > 0:
            waiting = len(self._waiting)
            await asyncio.sleep(min(left, _QUIET))

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        waiting = [entry for entry in self._waiting if not entry[1].done()]
        self._waiting = waiting[self._limit :]
        return waiting[: self._limit]

    async def _serve(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        self._taken = {future for _, future in batch}
        self.call = Call()
        results: Sequence[Result | Exception]
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._handle, [item for item, _ in batch]
            )
        except Exception as error:  # noqa: BLE001 - it is the result of every item
            results = shared_error(error, len(batch))
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def shared_error(error: Exception, count: int) -> list[Exception]:
    """Copy an error for several waiters: raised twice, one object would mix their tracebacks."""
    return [copy.copy(error) for _ in range(count)]
