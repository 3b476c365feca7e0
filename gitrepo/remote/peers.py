"""The certificate or host key of a connection's server, kept for the callback that checks it.

pygit2 calls `certificate_check` without the certificate or host key, though libgit2 has it. So the function that pygit2
registered for that is replaced by one that records it first. Callbacks must refuse where nothing was recorded.
"""

import ctypes
from typing import Any

import pygit2.callbacks
from pygit2.ffi import C, ffi

from porchflow.gitrepo.remote.known_hosts import HostKey


class PeerCallbacks(pygit2.RemoteCallbacks):
    """Callbacks that hold the certificate or host key of the server."""

    certificate: bytes | None = None
    """The server's certificate, DER; of a TLS connection."""
    host_key: HostKey | None = None
    """The server's host key; of an SSH connection."""

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002, FBT001 - pygit2's
        """Refuse: subclasses decide."""
        return False


class _Certificate(ctypes.Structure):
    """git_cert_x509 of git2/cert.h."""

    _fields_ = (("kind", ctypes.c_int), ("data", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _HostKey(ctypes.Structure):
    """git_cert_hostkey of git2/cert.h."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("given", ctypes.c_int),
        ("md5", ctypes.c_ubyte * 16),
        ("sha1", ctypes.c_ubyte * 20),
        ("sha256", ctypes.c_ubyte * 32),
        ("raw_type", ctypes.c_int),
        ("key", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
    )


_RAW_KEY_GIVEN = 8
"""GIT_CERT_SSH_RAW."""


def _note(shown: Any, callbacks: PeerCallbacks) -> None:  # noqa: ANN401 - a cffi pointer
    callbacks.certificate = callbacks.host_key = None
    address = int(ffi.cast("uintptr_t", shown))
    if shown.cert_type == C.GIT_CERT_X509:
        certificate = _Certificate.from_address(address)
        callbacks.certificate = ctypes.string_at(certificate.data, certificate.length)
    elif shown.cert_type == C.GIT_CERT_HOSTKEY_LIBSSH2:
        host_key = _HostKey.from_address(address)
        if host_key.given & _RAW_KEY_GIVEN:
            callbacks.host_key = HostKey(ctypes.string_at(host_key.key, host_key.length))


_decide = pygit2.callbacks._certificate_check_cb  # noqa: SLF001 - the one place where it can be heard


@ffi.def_extern(name="_certificate_check_cb")  # type: ignore[untyped-decorator]  # cffi has no types
def _note_and_decide(*arguments: Any) -> int:  # noqa: ANN401 - what libgit2 gives
    callbacks = ffi.from_handle(arguments[-1])
    if isinstance(callbacks, PeerCallbacks):
        _note(arguments[0], callbacks)
    return int(_decide(*arguments))
