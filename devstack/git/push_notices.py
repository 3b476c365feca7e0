"""Tells the watcher of pushes to the embedded Git server, as a forge does by its webhook.

Pushes of porchflow itself are left out: its objects show them already.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import aiohttp

logger = logging.getLogger(__name__)

_LENGTH_DIGITS = 4
_WORDS = 3
_SECONDS = 5.0


def pushed_refs(head: bytes) -> list[str]:
    """Return the refs that a push moves.

    Args:
        head: The beginning of the request: lines `OLD NEW REF`, the first with capabilities behind a zero byte. A line
            that is cut off is left out.

    Source: docs/reference/git-protocol.md, "Lines".
    """
    return list(dict.fromkeys(_refs(head)))


def _refs(head: bytes) -> Iterator[str]:
    at = 0
    while (digits := head[at : at + _LENGTH_DIGITS]).isalnum():
        try:
            length = int(digits, 16)
        except ValueError:
            return
        line = head[at + _LENGTH_DIGITS : at + length]
        if length <= _LENGTH_DIGITS or len(line) < length - _LENGTH_DIGITS:
            return
        words = line.partition(b"\0")[0].decode(errors="replace").split()
        if len(words) == _WORDS and words[-1].startswith("refs/"):
            yield words[-1]
        at += length


class PushNotices:
    """Sends one request for each ref; an asynchronous context manager, which waits for none at its end."""

    def __init__(self, webhook: str, secret: str) -> None:
        """Create the sender.

        Args:
            webhook: Address of the watcher's webhooks.
            secret: Their secret.
        """
        self._webhook = webhook
        self._secret = secret
        self._sending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def tell(self, addresses: Sequence[str], refs: Sequence[str]) -> None:
        """Send the notices of one push in the background.

        Args:
            addresses: URLs of the repository.
            refs: Full names of the refs that moved.
        """
        task = asyncio.create_task(self._tell(addresses, refs))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _tell(self, addresses: Sequence[str], refs: Sequence[str]) -> None:
        # The names under which Gitea gives a repository's addresses; the watcher takes each of them.
        repository = dict(zip(("clone_url", "html_url", "url"), addresses, strict=False))
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                for ref in refs:
                    body = json.dumps({"ref": ref, "repository": repository}).encode()
                    async with session.post(self._webhook, data=body, headers=self._headers(body)) as answer:
                        answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.info("the watcher does not hear of a push, which the next sync finds: %s", error)

    def _headers(self, body: bytes) -> dict[str, str]:
        signature = hmac.digest(self._secret.encode(), body, "sha256").hex()
        return {"Content-Type": "application/json", "X-Gitea-Event": "push", "X-Gitea-Signature": signature}
