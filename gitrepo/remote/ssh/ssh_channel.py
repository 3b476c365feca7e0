"""Git's protocol over SSH: a child process of ssh(1) for each call."""

import os
import random
import resource
import select
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from porchflow.api.limits import GIT_LISTING_BYTES, GIT_SSH_LOG_BYTES
from porchflow.gitrepo.errors import GitQuotaExceeded, GitUnavailable
from porchflow.gitrepo.remote.call import Call, Timeouts
from porchflow.gitrepo.remote.dialing import Dial, Names, answers_are_told
from porchflow.gitrepo.remote.protocol.pkt_lines import FLUSH, PktReader
from porchflow.gitrepo.remote.protocol.server_words import Words
from porchflow.gitrepo.remote.protocol.wire import RECEIVE_PACK, Advertisement, read_advertisement
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.ssh.ssh_login import SshLogin

_CHUNK_BYTES: Final = 1 << 16
_LEAVE_SECONDS: Final = 1.0
"""That a server has to end the connection when all is said."""


_MOST_HEARD: Final = 1 << 20
"""Bytes of an answer that is kept while the request is still on its way."""


class SshChannel:
    """A way to one service of a Git server over SSH; see `Channel`."""

    def __init__(
        self, remote: Remote, service: str, *, call: Call, timeouts: Timeouts, names: Names, folder: Path
    ) -> None:
        """Create a channel; nothing is sent yet.

        Args:
            remote: The repository.
            service: `UPLOAD_PACK` or `RECEIVE_PACK`.
            call: The call that the requests are part of.
            timeouts: Limits on the time.
            names: Resolves the server's name, where an author chose it.
            folder: For the files of the connection.
        """
        self._remote = remote
        self._service = service
        self._call = call
        self._timeouts = timeouts
        self._names = names
        self._folder = folder
        self.tells = not names.guards(remote)
        self._login: SshLogin | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._server: Advertisement | None = None
        self._heard = bytearray()
        self._words = Words()
        self._is_over = False
        self._reader = PktReader(self._read, GIT_LISTING_BYTES)

    @property
    def is_git(self) -> bool:
        """See `Channel`."""
        return self._server is not None

    def advertisement(self) -> Advertisement:
        """See `Channel`."""
        if self._server is None:
            self._start()
            self._server = read_advertisement(self._reader)
            self._reader.allow(GIT_LISTING_BYTES)
        return self._server

    def request(self, size: int, parts: Iterable[bytes]) -> PktReader:  # noqa: ARG002 - only HTTP needs it
        """See `Channel`."""
        try:
            for part in parts:
                self._write(part)
        except GitUnavailable:
            # A server that refuses a pack answers before it has read it to the end.
            if not self._heard or self._call.ended:
                raise
        return self._reader

    def close(self) -> None:
        """See `Channel`."""
        child, self._child = self._child, None
        try:
            if child is not None:
                self._leave(child)
        finally:
            if self._login is not None:
                self._login.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = self._is_over or kind is not None
        self.close()

    def _start(self) -> None:
        address = self._address() if self._names.guards(self._remote) else ""
        self._login = SshLogin(self._remote, self._folder, self._timeouts)
        path = self._remote.parsed.ssh_path.replace("'", r"'\''")
        # A push has no version 2.
        protocol = "" if self._service == RECEIVE_PACK else "version=2"
        try:
            self._child = subprocess.Popen(
                self._login.command(f"{self._service} '{path}'", address),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._login.environment(protocol),
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise GitUnavailable(f"cannot start ssh: {error}; install OpenSSH's client") from None
        resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (GIT_SSH_LOG_BYTES, GIT_SSH_LOG_BYTES))
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]  # pipes were asked for
        self._call.ends_with(self._child.kill)

    def _address(self) -> str:
        """Return a checked address of the server, which ssh connects to: it could resolve the name to another one."""
        dial = Dial(self._names)
        self._call.ends_with(dial.end)
        # A name that means nothing is told: nothing inside has answered.
        self.tells = True
        addresses = dial.resolve(self._remote.host, self._remote.port, self._timeouts.connect)
        self._names.check(self._remote.host, addresses)
        self.tells = answers_are_told(addresses)
        # ssh gets one address. Another attempt takes another one, where that is dead.
        return random.choice(addresses).ip  # noqa: S311 - no secret

    def _leave(self, child: "subprocess.Popen[bytes]") -> None:
        with child:
            if self._is_over or self._call.ended:
                child.kill()
                return
            try:
                if self._server is not None and self._server.version == 0:
                    os.write(child.stdin.fileno(), FLUSH)  # type: ignore[union-attr]  # a pipe was asked for
                child.stdin.close()  # type: ignore[union-attr]
                child.wait(_LEAVE_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                child.kill()

    def _read(self) -> bytes:
        while not self._heard:
            self._pump(b"")
        data = bytes(self._heard)
        self._heard.clear()
        return data

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._pump(left) :]

    def _pump(self, data: "bytes | memoryview") -> int:
        """Wait for the server, read what it says, and return how many bytes of `data` it took."""
        child = self._child
        if child is None or child.stdin is None or child.stdout is None or child.stderr is None:
            raise GitUnavailable("the connection is closed")
        poll = select.poll()
        poll.register(child.stdout, select.POLLIN)
        poll.register(child.stderr, select.POLLIN)
        if data:
            poll.register(child.stdin, select.POLLOUT)
        ready = dict(poll.poll(self._timeouts.silence * 1000))
        if self._call.ended:
            raise GitUnavailable(self._call.ended)
        if not ready:
            raise GitUnavailable(f"the server was silent for {self._timeouts.silence:g} s (the limit)")
        if child.stderr.fileno() in ready:
            self._words.add(child.stderr.read(_CHUNK_BYTES) or b"")
        if child.stdout.fileno() in ready:
            if not (said := child.stdout.read(_CHUNK_BYTES)):
                raise self._ended(child)
            self._heard += said
            if data and len(self._heard) > _MOST_HEARD:
                raise GitQuotaExceeded("the server sends more than it may while it should read")
        if data and child.stdin.fileno() in ready:
            return self._take(child, data)
        return 0

    def _take(self, child: "subprocess.Popen[bytes]", data: "bytes | memoryview") -> int:
        try:
            return os.write(child.stdin.fileno(), data[:_CHUNK_BYTES])  # type: ignore[union-attr]
        except BrokenPipeError:
            raise self._ended(child) from None

    def _ended(self, child: "subprocess.Popen[bytes]") -> Exception:
        self._is_over = True
        until = time.monotonic() + _LEAVE_SECONDS
        poll = select.poll()
        poll.register(child.stderr, select.POLLIN)  # type: ignore[arg-type]  # a pipe was asked for
        while (left := until - time.monotonic()) > 0 and poll.poll(left * 1000):
            if not (said := child.stderr.read(_CHUNK_BYTES)):  # type: ignore[union-attr]
                break
            self._words.add(said)
        try:
            code = child.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
        if self._call.ended or self._login is None:
            return GitUnavailable(self._call.ended or "the connection is closed")
        return self._login.failure(str(self._words), code)
