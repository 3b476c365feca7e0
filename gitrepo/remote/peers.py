"""Who a connection leads to: what the server showed, kept for the callback that decides.

pygit2 asks `certificate_check` without the certificate or host key. libgit2 has it; so what pygit2 registered for that
is replaced by a function that notes it first. Callbacks that find nothing noted have to refuse.
"""

import ctypes
from typing import Any

import pygit2.callbacks
from pygit2.ffi import C, ffi

from porchflow.gitrepo.remote.known_hosts import HostKey


class PeerCallbacks(pygit2.RemoteCallbacks):
    """Callbacks that know what the server showed."""

    certificate: bytes | None = None
    """The server's certificate, DER; of a TLS connection."""
    host_key: HostKey | None = None
    """The server's host key; of an SSH connection."""

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002, FBT001 - pygit2's
        """Refuse: deciding is for who derives from this."""
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
