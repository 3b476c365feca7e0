"""A Git server over SSH, with asyncssh: keys are checked for real, and git's own programs do the Git side."""

import asyncio
import base64
import contextlib
import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncssh

from porchflow.gitrepo.remote.ssh.known_hosts import SSH_PORT, HostKey

# The server-sig-algs of OpenSSH, as far as they matter here. asyncssh would say them twice, which libssh2 1.11.1 does
# not survive with an RSA key.
_SIGNATURES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsa-sha2-512", "rsa-sha2-256")


def known_hosts_line(host: str, port: int, key: HostKey) -> str:
    """The line of known_hosts for a key."""
    place = host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"
    return f"{place} {key.kind} {base64.b64encode(key.blob).decode()}"


class SshGitServer:
    """Serves the bare repositories below a folder to those whose keys it knows."""

    def __init__(self, root: Path, host_keys: Sequence[asyncssh.SSHKey]) -> None:
        self._root = root
        self._host_keys = list(host_keys)
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self.authorized: set[str] = set()
        """Public keys that may log in, in OpenSSH's format without comment."""
        self.attempts = 0
        """Keys that were shown."""
        self.users: list[str] = []
        self.open = asyncio.Event()
        """Commands wait until this is set."""
        self.open.set()
        self.port = 0
        self._stopped = False
        self._serving: set[asyncio.Task[object]] = set()
        self._running: set[asyncio.subprocess.Process] = set()

    def authorize(self, key: asyncssh.SSHKey) -> None:
        self.authorized.add(_public(key))

    def url(self, name: str) -> str:
        return f"ssh://git@127.0.0.1:{self.port}/{name}"

    def known_hosts(self, *keys: asyncssh.SSHKey) -> str:
        """The lines for this server: of its own keys, or of others."""
        found = [HostKey(key.public_data) for key in keys or self._host_keys]
        return "".join(known_hosts_line("127.0.0.1", self.port, key) + "\n" for key in found)

    async def start(self, port: int = 0) -> None:
        def server() -> _Login:
            return _Login(self)

        self._acceptor = await asyncssh.create_server(
            server,
            "127.0.0.1",
            port,
            server_host_keys=self._host_keys,
            process_factory=self._serve,
            encoding=None,
            signature_algs=_SIGNATURES,
        )
        self.port = self._acceptor.get_port()
        self._stopped = False

    async def stop(self) -> None:
        self._stopped = True
        self.open.set()
        if self._acceptor:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        for git in self._running:
            _kill(git)
        if self._serving:
            await asyncio.wait(self._serving, timeout=5)

    async def change_host_keys(self, *keys: asyncssh.SSHKey) -> None:
        await self.stop()
        self._host_keys = list(keys)
        await self.start(self.port)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self.open.wait()
            process.exit(128 if self._stopped else await self._git(process))
        finally:
            self._serving.discard(task)

    async def _git(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        program, path = shlex.split(process.command or "")
        git = await asyncio.create_subprocess_exec(
            "git",
            program.removeprefix("git-"),
            str(self._root / path.lstrip("/")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._running.add(git)
        try:
            if self._stopped:
                # Nobody knew of it yet when the others were ended.
                _kill(git)
            await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr)
            return await git.wait()
        finally:
            # Whoever it was for may be gone.
            _kill(git)
            await git.wait()
            self._running.discard(git)


def _kill(git: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        git.kill()


class _Login(asyncssh.SSHServer):
    def __init__(self, server: SshGitServer) -> None:
        self._server = server

    def begin_auth(self, username: str) -> bool:
        self._server.users.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._server.attempts += 1
        return _public(key) in self._server.authorized


def _public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


@contextlib.asynccontextmanager
async def running_ssh_server(root: Path, *host_keys: asyncssh.SSHKey) -> AsyncIterator[SshGitServer]:
    server = SshGitServer(root, host_keys)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
