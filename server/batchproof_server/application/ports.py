"""The ports of the server: who listens where, and for whom."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from batchproof_server.base.listener import Listener


# Contract
#
# A port has one audience: callers who want answers, Prometheus and orchestrators, browsers, or
# operators. What one audience may do is never reachable on the port of another, so that a firewall
# can tell them apart. A port that answers requests is drained with them. The others stay open until
# the end, so that the drain can be watched.
@dataclass(frozen=True, slots=True)
class Port:
    """One port, open or not.

    Attributes:
        name: in the first line on standard output.
        host: address to listen on.
        number: 0 takes a free one.
        listener: what listens.
        answers_requests: whether it is drained with the requests.
    """

    name: str
    host: str
    number: int
    listener: Listener
    answers_requests: bool


async def open_ports(ports: Sequence[Port]) -> dict[str, str]:
    """Opens all of them, or none.

    Returns:
        Where each listens, as ``host:port``, by its name.

    Raises:
        PortUnavailable: one of them cannot be opened.
    """
    addresses: dict[str, str] = {}
    try:
        for port in ports:
            addresses[port.name] = (
                f"{port.host}:{await port.listener.start(port.host, port.number)}"
            )
    except OSError:
        for port in ports:
            if port.name in addresses:
                await port.listener.drain(0)
        raise
    return addresses


async def drain_ports(ports: Sequence[Port], grace_s: float) -> None:
    """Drains the ports that answer requests, all at the same time."""
    answering = [port.listener for port in ports if port.answers_requests]
    await asyncio.gather(*(listener.drain(grace_s) for listener in answering))
