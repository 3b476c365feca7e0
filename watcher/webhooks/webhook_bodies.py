"""Bodies of webhook requests while they arrive: bounded in number and time, and slow ones give way."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from porchflow.api.limits import WEBHOOK_BODIES, WEBHOOK_BYTES, WEBHOOK_SECONDS
from porchflow.watcher.webhooks.payloads import Refused

_SIX = 6
_ONE_SENDER_BITS = 64
"""Leading bits of an IPv6 address that name a sender: each of its hosts has all addresses below."""


@dataclass(eq=False)
class _Body:
    sender: str
    deadline: asyncio.Timeout
    gave_way: bool = False


class Bodies:
    """The bodies that arrive at this moment.

    A request that comes while all places are taken gets one: the sender with the most bodies loses its oldest one.
    Forges send a body at once, so that the oldest one is that of a sender that lets it drip.
    """

    def __init__(self, places: int = WEBHOOK_BODIES) -> None:
        """Begin without any.

        Args:
            places: Bodies at once; each takes up to `WEBHOOK_BYTES` of memory.
        """
        self._places = places
        self._arriving: list[_Body] = []

    @property
    def arriving(self) -> int:
        """Number of bodies that arrive."""
        return len(self._arriving)

    async def read(self, address: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Read one body.

        Args:
            address: IP address that the request came from; empty where it is not known.
            read: Reads the body to its end.

        Raises:
            Refused: The body is too slow for its place, or another request took the place.
        """
        while len(self._arriving) >= self._places:
            self._give_way()
        deadline = asyncio.timeout(WEBHOOK_SECONDS)
        body = _Body(_sender(address), deadline)
        self._arriving.append(body)
        try:
            async with deadline:
                return await read()
        except TimeoutError:
            raise _too_slow(body) from None
        finally:
            if body in self._arriving:
                self._arriving.remove(body)

    def _give_way(self) -> None:
        """End the oldest body of the sender that has the most."""
        [(most, _)] = Counter(body.sender for body in self._arriving).most_common(1)
        oldest = next(body for body in self._arriving if body.sender == most)
        oldest.gave_way = True
        self._arriving.remove(oldest)
        if not oldest.deadline.expired():
            oldest.deadline.reschedule(asyncio.get_running_loop().time())


def _too_slow(body: _Body) -> Refused:
    if body.gave_way:
        return Refused(503, "the body arrived too slowly, and its place was taken by another request: send it again")
    return Refused(408, f"the body, of up to {WEBHOOK_BYTES} bytes, did not arrive within {WEBHOOK_SECONDS} seconds")


def _sender(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip_network((parsed, _ONE_SENDER_BITS), strict=False)) if parsed.version == _SIX else str(parsed)
