"""Where HTTP is listened for, and how many callers are taken in at a time."""

import asyncio
import resource
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Final

from batchproof_server.base.listener import PortUnavailable

# Callers that come at once wait here and not in retries of their own, which take a second each.
_BACKLOG: Final = 1024
# Between two looks at what the others have sent. Without descriptors the loop tries as often
# before it waits, and tells of each.
_ACCEPTED_AT_ONCE: Final = 16


def bound_socket(host: str, port: int, what: str) -> socket.socket:
    """A socket that callers wait at already.

    Args:
        host: an address of this machine.
        port: 0 takes a free one.
        what: listens, for the error.

    Raises:
        PortUnavailable: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as fault:
        raise PortUnavailable(
            f"{what} cannot listen on {host}:{port}: it is taken or no address of this host"
        ) from fault


async def accepting(
    connection: Callable[[], asyncio.Protocol],
    listening: socket.socket,
    tls: ssl.SSLContext | None = None,
    handshake_timeout_s: float | None = None,
) -> asyncio.Server:
    """Takes callers in on the running loop.

    Args:
        connection: made for each.
        listening: of ``bound_socket``.
        tls: None speaks in plain text; then there is no handshake that takes time.
        handshake_timeout_s: for a caller to be through with it.
    """
    server = await asyncio.get_running_loop().create_server(
        connection,
        sock=listening,
        ssl=tls,
        backlog=_ACCEPTED_AT_ONCE,
        ssl_handshake_timeout=handshake_timeout_s,
    )
    listening.listen(_BACKLOG)
    return server


def half_the_descriptors() -> int:
    """What one port may take of those that the process may open now; others live on the rest."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if allowed == resource.RLIM_INFINITY else max(1, allowed // 2)
