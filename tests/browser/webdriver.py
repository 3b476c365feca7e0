"""A browser, driven by the W3C's WebDriver protocol: Chromium, through its driver."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from porchflow.devstack.processes import HOST, Process, free_port
from porchflow.devstack.servers import answers

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    # No page is asked of any other machine.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1400"),
)


class BrowserError(Exception):
    """The browser refuses a command."""


class Browser:
    """One window."""

    def __init__(self, client: aiohttp.ClientSession, session: str) -> None:
        self._client = client
        self._session = session

    async def open(self, url: str) -> None:
        await self._call("url", {"url": url})

    async def text(self) -> str:
        """Return what a reader sees, text in frames last."""
        shown = [await self._text()]
        for frame in await self._call("elements", {"using": "css selector", "value": "iframe"}):
            try:
                await self._call("frame", {"id": frame})
                shown.append(await self._text())
            except BrowserError:
                # The page has replaced the frame meanwhile.
                continue
            finally:
                await self._call("frame", {"id": None})
        return "\n".join(shown)

    async def _text(self) -> str:
        script = "return document.body ? document.body.innerText : ''"
        return str(await self._call("execute/sync", {"script": script, "args": []}))

    async def picture(self, path: Path) -> None:
        async with self._client.get(f"{self._session}/screenshot") as answer:
            content = base64.b64decode((await answer.json())["value"])
        await asyncio.to_thread(path.write_bytes, content)

    async def _call(self, command: str, body: dict[str, Any]) -> Any:
        async with self._client.post(f"{self._session}/{command}", json=body) as answer:
            told = await answer.json()
            if not answer.ok:
                raise BrowserError(str(told))
            return told["value"]


@asynccontextmanager
async def running_browser(folder: Path) -> AsyncIterator[Browser]:
    """Run the browser.

    Args:
        folder: For its state and logs.
    """
    port = free_port()
    url = f"http://{HOST}:{port}"

    async def ready() -> bool:
        return await answers(f"{url}/status")

    assert DRIVER is not None
    driver = Process("chromedriver", [DRIVER, f"--port={port}"], log=folder / "chromedriver.log", ready=ready)
    options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={folder / 'profile'}"]}
    wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
    try:
        await driver.start()
        async with aiohttp.ClientSession() as client:
            async with client.post(f"{url}/session", json=wanted) as answer:
                told = await answer.json()
                assert answer.ok, told
            session = f"{url}/session/{told['value']['sessionId']}"
            try:
                yield Browser(client, session)
            finally:
                async with client.delete(session):
                    pass
    finally:
        await driver.stop()
