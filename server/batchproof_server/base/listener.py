"""What listens on a port, whatever it speaks there."""

import ipaddress
from typing import Protocol


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class PortUnavailable(OSError):
    """The port could not be opened; the text says which and what may be wrong."""


class Listener(Protocol):
    """Listens on one port, for one audience."""

    async def start(self, host: str, port: int) -> int:
        """Opens the port.

        Args:
            host: address to listen on.
            port: 0 takes a free one.

        Returns:
            The port.

        Raises:
            PortUnavailable: it is taken, or the host or the certificates do not do.
        """
        ...

    async def drain(self, grace_s: float) -> None:
        """Refuses new calls, and returns when the others are over; gives those up after the grace.

        May be called again with less patience, and before ``start``.
        """
        ...
