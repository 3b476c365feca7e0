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
MOST = 6.0
"""What takes four times the input may take so many times the processor time, at one of `_STEPS` sizes.

A cache that overflows makes one step of a linear parser dear: 8 was seen where the next took 3. What is quadratic in a
sixth of its work grows by 6, then by 9, then by 13.
"""

_STEPS = 3
_PLAIN = 12.0
"""A factor that leaves no doubt: the next size need not be tried."""

_ROUNDS = 6
_LEAST_ROUNDS = 3
"""What remembers texts costs nothing from the second time on."""


def growth(parse: Parser, make: Callable[[int], str]) -> tuple[float, int]:
    """Compare a size with four times as much, and where that is dear, the next sizes too.

    Args:
        parse: What is measured; whatever it raises is part of it.
        make: An input of about so many characters.

    Returns:
        The last factor, and the size that it starts from; 0 where even the largest input costs nothing.
    """
    for size in SIZES:
        if _seconds(parse, make(size)) >= LONG_ENOUGH:
            return _last_factor(parse, make, size)
    return 0.0, SIZES[-1]


def _last_factor(parse: Parser, make: Callable[[int], str], size: int) -> tuple[float, int]:
    factor = 0.0
    for _ in range(_STEPS):
        factor = _factor(parse, make(size), make(size * TIMES))
        if factor <= MOST or factor >= _PLAIN:
            break
        size *= TIMES
    return factor, size


def _factor(parse: Parser, small: str, large: str) -> float:
    """The smallest factor of some rounds: other processes on the machine make a run longer, never shorter."""
    fastest, best = float("inf"), float("inf")
    for done in range(1, _ROUNDS + 1):
        fastest = min(fastest, _seconds(parse, small), _seconds(parse, small))
        best = min(best, _seconds(parse, large))
        if best <= MOST * fastest or (done >= _LEAST_ROUNDS and best >= _PLAIN * fastest):
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
