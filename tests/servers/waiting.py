import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest


async def eventually(predicate: Callable[[], Any], timeout: float = 60.0, what: str = "") -> Any:
    """Wait until a plain or asynchronous function returns something true, and return that.

    Args:
        predicate: What must become true. An AssertionError it raises, or a failure of `pytest.raises` in it, counts as
            not yet, and is shown at the end.
        timeout: Seconds after which the test fails.
        what: What is waited for, for the failure's message.
    """
    deadline = time.monotonic() + timeout
    while True:
        value, problem = None, ""
        try:
            value = predicate()
            if inspect.isawaitable(value):
                value = await value
        except (AssertionError, pytest.fail.Exception) as error:
            value, problem = None, f": {error}"
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate}{problem} (last: {value!r})")
        await asyncio.sleep(0.02)
