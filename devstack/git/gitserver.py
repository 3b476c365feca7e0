"""A small Git server: bare repositories below a folder, over smart HTTP.

aiohttp speaks HTTP; the Git side is git itself (`gitservice`), so hooks and protocol are the real ones.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import subprocess
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from porchflow.cli.processes.process import run_process
from porchflow.devstack.git import gitservice
from porchflow.devstack.git.gitupkeep import Upkeep
from porchflow.devstack.git.push_notices import PushNotices, pushed_refs
from porchflow.gitrepo.remote.http.agent import USER_AGENT

logger = logging.getLogger(__name__)

STATISTICS_PATH = "/-/statistics"
"""Answers with the pushes and fetches of each repository so far, as JSON; no repository's requests have this path."""

SECRET_VARIABLE = "PORCHFLOW_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
"""Has the secret of the watcher's webhooks."""

_ADVERTISEMENT = "info/refs"
_BARE_CONFIGURATION = {
    # Garbage collection in the middle of a burst of pushes takes seconds and frees little.
    "receive.autogc": "false",
    "gc.auto": "0",
    # A commit stays fetchable by its id after its draft branch has gone.
    "uploadpack.allowAnySHA1InWant": "true",
    # Git unpacks a push beside the repository, which to it is an alternate: it would read all refs once more.
    "core.alternateRefsCommand": "true",
    # The upkeep and pushes wait for each other's locks.
    "core.filesRefLockTimeout": "2000",
    "core.packedRefsTimeout": "5000",
}


class GitServer:
    """Serves the bare repositories below `root`; an asynchronous context manager.

    A repository `a/b.git` answers to `/a/b.git` and to `/a/b`.
    """

    scheme = "http"

    def __init__(self, root: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Create a server; `start` listens.

        Args:
            root: Folder of the bare repositories.
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one, see `port`.
        """
        self.host = host
        self.port = port
        self._root = root.resolve()
        self._runner: web.AppRunner | None = None
        self._pushes: Counter[str] = Counter()
        self._fetches: Counter[str] = Counter()
        self._upkeep = Upkeep()

    @property
    def url(self) -> str:
        """Address of the server, without a final slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def repository_url(self, name: str) -> str:
        """Return the address of the repository `name`."""
        return f"{self.url}/{name.removesuffix('.git')}.git"

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: The address is in use or not one of this machine.
        """
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await runner.setup()
        try:
            await self.site(runner).start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = int(runner.addresses[0][1])
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening and end the requests in flight."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        await self._upkeep.finished()

    def site(self, runner: web.AppRunner) -> web.TCPSite:
        """Return the listening socket's site."""
        return web.TCPSite(runner, self.host, self.port)

    async def admit(self, request: web.Request) -> None:
        """Called before each request; here it does nothing.

        Raises:
            web.HTTPException: The answer, in place of serving the request.
        """

    def pushed(self, request: web.Request, repository: str) -> None:
        """Called after each push; here it does nothing.

        Args:
            request: Its second request.
            repository: The repository's folder below root.
        """

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        await self.admit(request)
        if request.path == STATISTICS_PATH:
            return web.json_response({"pushes": self._pushes, "fetches": self._fetches})
        repository, service = self._locate(request.path)
        folder = self._root / repository
        if service == _ADVERTISEMENT:
            return await gitservice.advertise(request, folder)
        response = await gitservice.serve(request, folder, service)
        if service == "git-receive-pack":
            self._pushes[repository] += 1
            self._upkeep.pushed(folder)
            self.pushed(request, repository)
        elif not request.get(gitservice.LISTS):
            self._fetches[repository] += 1
        return response

    def _locate(self, path: str) -> tuple[str, str]:
        """Split a request's path into the repository's folder below root and the Git service."""
        for service in (_ADVERTISEMENT, *gitservice.SERVICES):
            if path.endswith(f"/{service}"):
                name = path.removesuffix(service).strip("/").removesuffix(".git")
                for candidate in (f"{name}.git", name):
                    if self._is_repository(candidate):
                        return candidate, service
                raise web.HTTPNotFound(text=f"there is no repository {name!r} here\n")
        raise web.HTTPNotFound(text="only Git's smart HTTP protocol is served here\n")

    def _is_repository(self, name: str) -> bool:
        if not name or any(part in {"", ".", ".."} for part in name.split("/")) or "\0" in name:
            return False
        return (self._root / name / "HEAD").is_file()


def create_bare_repository(root: Path, name: str, default_branch: str = "main", *, durable: bool = True) -> Path:
    """Make an empty bare repository that accepts pushes over HTTP.

    Args:
        root: Folder of the repositories.
        name: Name of the repository, with or without `.git`.
        default_branch: Branch that its HEAD names.
        durable: Whether Git forces packs to the disk. Without it a power cut, not a crash, can lose the last pushes.

    Returns:
        The repository's folder. An existing one is kept, and gets this version's configuration.
    """
    path = root / f"{name.removesuffix('.git')}.git"
    path.parent.mkdir(parents=True, exist_ok=True)
    _git("init", "--quiet", "--bare", f"--initial-branch={default_branch}", "--template=", str(path))
    settings = _BARE_CONFIGURATION | ({} if durable else {"core.fsync": "none"})
    for key, value in settings.items():
        _git("-C", str(path), "config", key, value)
    return path


def _git(*arguments: str) -> str:
    environment = {**os.environ, **gitservice.GIT_ENVIRONMENT}
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


class EmbeddedGitServer(GitServer):
    """The Git server of the embedded stack: it tells the watcher of pushes, and can be as slow as a distant one."""

    def __init__(
        self,
        root: Path,
        *,
        latency: float = 0,
        notices: PushNotices | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Create a server; `start` listens.

        Args:
            root: Folder of the bare repositories.
            latency: Milliseconds by which each request is delayed.
            notices: Receives the pushes of others than porchflow; None for nobody.
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
        """
        super().__init__(root, host=host, port=port)
        self._seconds = latency / 1000
        self._notices = notices

    async def admit(self, request: web.Request) -> None:
        """Delay the request."""
        if self._seconds and request.path != STATISTICS_PATH:
            await asyncio.sleep(self._seconds)

    def pushed(self, request: web.Request, repository: str) -> None:
        """Tell of a push."""
        if self._notices is None or request.headers.get("User-Agent") == USER_AGENT:
            return
        if refs := pushed_refs(request.get(gitservice.HEAD, b"")):
            # A Repository may name this machine as the person who pushed does.
            places = {
                self.url: None,
                f"{self.scheme}://{request.host}": None,
                f"{self.scheme}://localhost:{self.port}": None,
            }
            self._notices.tell([f"{place}/{repository}" for place in places], refs)


async def _serve_for_ever(options: argparse.Namespace) -> None:
    secret = os.environ.get(SECRET_VARIABLE, "")
    notices = PushNotices(options.webhook, secret) if options.webhook else None
    async with (
        notices or contextlib.nullcontext(),
        EmbeddedGitServer(
            options.root, latency=options.latency, notices=notices, host=options.host, port=options.port
        ) as server,
    ):
        logger.info("serving the Git repositories below %s at %s", options.root, server.url)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until a signal arrives."""
    parser = argparse.ArgumentParser(description="Serve bare Git repositories over HTTP.")
    parser.add_argument("--root", type=Path, required=True, help="folder of the bare repositories")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--latency", type=float, default=0, help="milliseconds that each request waits first")
    parser.add_argument(
        "--webhook", default="", help=f"address that pushes are told to; {SECRET_VARIABLE} has its secret"
    )
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    run_process(_serve_for_ever(options), log_level=options.log_level)


if __name__ == "__main__":
    main()
