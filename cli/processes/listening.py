"""Where the processes listen: addresses refused at the start where nobody can listen there."""

import contextlib
import errno
import os
import socket

from porchflow.api.host_port import host_and_port
from porchflow.cli.settings import Settings, SettingsError, settings_of

_REFUSALS = frozenset({errno.EADDRINUSE, errno.EACCES})
"""What no later attempt would mend; whatever else is wrong is told by who listens."""


def check_addresses(settings: Settings, *names: str) -> None:
    """Check that a process can listen where it is told to, before it starts anything.

    Args:
        settings: The settings of the process.
        names: Those of them that say where it listens; empty ones are left out.

    Raises:
        SettingsError: Somebody listens there already, or only the administrator may, or two are the same.
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
        # A second address of the same process is found only where the first one is listened on.
        probe.listen()


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno or 0)
