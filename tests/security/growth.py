"""How the processor time of a parser grows with its input."""

import gc
import time
from collections.abc import Callable

Parser = Callable[[str], object]

SIZES = [2**power for power in range(10, 17)]
"""Characters: from 1,024 to 65,536. What takes no time with the largest is not worth a comparison."""

LONG_ENOUGH = 0.02
"""Seconds from which on a run is long enough to be compared."""

TIMES = 4
MOST = 5.0
"""What takes four times the input may take so many times the processor time."""

_ROUNDS = 3

_UNDISTURBED = 2.0
"""Seconds from which on a run is too long to be disturbed by others: one round is enough."""


def growth(parse: Parser, make: Callable[[int], str]) -> tuple[float, int]:
    """Compare a size with four times as much.

    Args:
        parse: What is measured; whatever it raises is part of it.
        make: An input of about so many characters.

    Returns:
        The factor, and the smaller size; 0 where even the largest input costs nothing.
    """
    for size in SIZES:
        small = make(size)
        if _seconds(parse, small) >= LONG_ENOUGH:
            large = make(size * TIMES)
            factor = _factor(parse, small, large)
            # A cache that overflows costs once; what is not linear goes on so.
            return (factor if factor <= MOST else min(factor, _factor(parse, large, make(size * TIMES**2)))), size
    return 0.0, SIZES[-1]


def _factor(parse: Parser, small: str, large: str) -> float:
    """The smallest factor of some rounds: other processes on the machine make a run longer, never shorter."""
    fastest, best = float("inf"), float("inf")
    for _ in range(_ROUNDS):
        fastest = min(fastest, _seconds(parse, small), _seconds(parse, small))
        best = min(best, _seconds(parse, large))
        if best <= MOST * fastest or best >= _UNDISTURBED:
            break
    return best / fastest


def _seconds(parse: Parser, text: str) -> float:
    gc.disable()
    begin = time.thread_time()
    try:
        parse(text)
    except Exception:  # noqa: BLE001 - to refuse it is an answer
        pass
    finally:
        spent = time.thread_time() - begin
        gc.enable()
    return spent
