"""The files that a child process of ssh(1) reads, and what its log says of a failure."""

import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final

from porchflow.api.limits import GIT_SSH_LOG_BYTES
from porchflow.gitrepo.errors import (
    GitAuthError,
    GitError,
    GitHostKeyError,
    GitQuotaExceeded,
    GitUnavailable,
    from_words,
)
from porchflow.gitrepo.remote.call import Timeouts
from porchflow.gitrepo.remote.protocol.server_words import clean
from porchflow.gitrepo.remote.remote import Remote, SshKey
from porchflow.gitrepo.remote.ssh.known_hosts import KnownHosts, NamedKey
from porchflow.gitrepo.remote.ssh.ssh_keys import KeyPair, UnusableKey, key_pair

_PRIVATE: Final = 0o600
_PROGRAM: Final = 0o700
_LOG_BYTES: Final = 1 << 16
_SSH_PORT: Final = 22
_SHOWN_KEY = re.compile(r"^debug1: Server host key: (\S{1,100}) (SHA256:\S{1,100})\r?$", re.MULTILINE)
_ASKPASS = '#!/bin/sh\nexec cat "${0%/*}/passphrase"\n'

_OPTIONS: Final = (
    "AddKeysToAgent=no",
    "CanonicalizeHostname=no",
    "CheckHostIP=no",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "ForwardAgent=no",
    "GSSAPIAuthentication=no",
    "GlobalKnownHostsFile=none",
    "HostbasedAuthentication=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "KbdInteractiveAuthentication=no",
    "LogLevel=DEBUG1",
    "NumberOfPasswordPrompts=1",
    "PasswordAuthentication=no",
    "PermitLocalCommand=no",
    "PreferredAuthentications=publickey",
    "ProxyCommand=none",
    "RequestTTY=no",
    "SendEnv=GIT_PROTOCOL",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
)
"""The user's files and agent have no say; the remote's Secret decides on keys of both sides."""


class SshLogin:
    """Key, known hosts and log of one connection, in a folder that only this user may enter."""

    def __init__(self, remote: Remote, folder: Path, timeouts: Timeouts) -> None:
        """Write the files.

        Raises:
            GitAuthError: There is no key, or it is not usable.
        """
        if not isinstance(remote.credentials, SshKey):
            raise GitAuthError(
                f"{remote.display} asks for a key; name a Secret with ssh-privatekey and known_hosts in the"
                " Repository's spec.git.secretRef"
            )
        self._remote = remote
        self._known_hosts = remote.credentials.known_hosts
        self._timeouts = timeouts
        try:
            self._pair = key_pair(remote.credentials.private_key, remote.credentials.passphrase)
        except UnusableKey as error:
            raise GitAuthError(f"the private key for {remote.display} {error}; correct {remote.named_secret}") from None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        try:
            self._write_files(self._pair)
        except OSError:
            self.remove()
            raise

    def _write_files(self, pair: KeyPair) -> None:
        self._write("key", pair.private)
        self._write("known_hosts", self._known_hosts.rstrip() + "\n")
        if pair.passphrase:
            self._write("passphrase", pair.passphrase)
            self._write("askpass", _ASKPASS, _PROGRAM)

    def command(self, program: str, address: str = "") -> list[str]:
        """Return the command line that runs a program at the server.

        Args:
            program: The command, as the server's shell takes it.
            address: IP address to connect to; empty to have ssh resolve the name.
        """
        options = [*_OPTIONS, f"ConnectTimeout={max(1, round(self._timeouts.connect))}"]
        options += [f"UserKnownHostsFile={self._folder}/known_hosts", f"IdentityFile={self._folder}/key"]
        if address:
            host, port = self._remote.host, self._remote.port
            # The names of known_hosts, which ssh forms from the address otherwise.
            alias = host if port == _SSH_PORT else f"[{host}]:{port}"
            options += [f"HostName={address}", f"HostKeyAlias={alias}"]
        settings = [part for option in options for part in ("-o", option)]
        place = ["-p", str(self._remote.port), "-l", self._remote.user, "--", self._remote.host]
        return ["ssh", "-F", "none", "-T", "-a", "-x", "-E", f"{self._folder}/log", *settings, *place, program]

    def environment(self, protocol: str) -> dict[str, str]:
        """Return the environment of the child process; the protocol's version goes to the server."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(self._folder)}
        if protocol:
            environment["GIT_PROTOCOL"] = protocol
        if self._pair.passphrase:
            environment |= {"SSH_ASKPASS": f"{self._folder}/askpass", "SSH_ASKPASS_REQUIRE": "force"}
        return environment

    def failure(self, words: str, code: int | None) -> GitError:
        """Return the error for a connection that ended.

        Args:
            words: What the server's program printed.
            code: Exit code of ssh.
        """
        if code == -signal.SIGXFSZ:
            return GitQuotaExceeded(
                f"the server sends ssh more than {GIT_SSH_LOG_BYTES:,} bytes of messages (the limit)"
            )
        log = self._log()
        said = [line for line in log.splitlines() if not line.startswith("debug1: ")]
        told = "\n".join(said).lower()
        if "host key verification failed" in told:
            return self._untrusted(log)
        if "permission denied (" in told or "too many authentication failures" in told:
            offered = f"the key {self._pair.fingerprint} of user {self._remote.user!r}"
            named = self._remote.named_secret
            return GitAuthError(
                f"{self._remote.display} refused {offered}; correct {named}, or what they may do at the server"
            )
        if words:
            return from_words(words)
        last = clean("\n".join(said[-2:])) or f"ssh ended with code {code} and says nothing"
        return GitUnavailable(last)

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _untrusted(self, log: str) -> GitError:
        where = self._remote.display
        shown = _SHOWN_KEY.search(log)
        if shown:
            try:
                KnownHosts(self._known_hosts).check(self._remote.host, self._remote.port, NamedKey(shown[1], shown[2]))
            except GitHostKeyError as error:
                return error
        return GitHostKeyError(f"the SSH server of {where} shows no host key that known_hosts in the Secret has for it")

    def _log(self) -> str:
        try:
            with (self._folder / "log").open("rb") as file:
                return file.read(_LOG_BYTES).decode(errors="replace")
        except OSError:
            return ""

    def _write(self, name: str, text: str, mode: int = _PRIVATE) -> None:
        handle = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a handle
            file.write(text)
