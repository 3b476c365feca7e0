"""Addresses that processes listen on: bad ones are refused at the start."""

import contextlib
import errno
import os
import socket

from porchflow.api.host_port import host_and_port
from porchflow.cli.settings import Settings, SettingsError, settings_of

_REFUSALS = frozenset({errno.EADDRINUSE, errno.EACCES})
"""Errors that no later attempt would mend; the server itself reports all others when it listens."""


def check_addresses(settings: Settings, *names: str) -> None:
    """Check that a process can listen on its addresses, before it starts anything.

    Args:
        settings: The settings of the process.
        names: Names of the settings that hold its addresses; empty addresses are left out.

    Raises:
        SettingsError: Another process listens there, the port needs more rights, or two addresses are the same.
    """
    with contextlib.ExitStack() as stack:
        for setting in map(settings_of(Settings).__getitem__, names):
            if address := setting.of(settings):
                try:
                    _listen(*host_and_port(address), stack)
                except OSError as error:
                    if isinstance(error, socket.gaierror) or error.errno in _REFUSALS:
                        raise SettingsError(f"{setting.told_name}: cannot listen on {address}: {_why(error)}") from None


def _listen(host: str, port: int, stack: contextlib.ExitStack) -> None:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in found:
        probe = stack.enter_context(socket.socket(family, kind, protocol))
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
        # Listening, and not only bound: else a second equal address of the same process could be bound too.
        probe.listen()


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno or 0)
