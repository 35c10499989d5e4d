"""What every front asks of gRPC's C core for a port: its address and its options."""

import contextlib
import os
import socket
from typing import Final

from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.settings import ConnectionSettings, RpcSettings

# Of calls that no handler was given to yet. Each costs a few kB and what it sent of its message.
_MOST_PENDING: Final = 1 << 14
# Of a call whose message is too large, or whose caller has gone, the core says first that there is
# no message, and only in a moment that it has ended the call. Any front waits that long, so that no
# route begins such a call as one that was sent without a message.
CORE_TELLS_S: Final = 0.05


def address_of(host: str, port: int) -> str:
    """As gRPC takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cannot_listen(address: str, settings: RpcSettings) -> PortUnavailable:
    """The error of a port that gRPC does not open; it does not say why."""
    reasons = "it is taken, or no address of this host"
    if settings.tls is not None:
        reasons += ", or the certificate and the key do not do"
    return PortUnavailable(f"gRPC cannot listen on {address}: {reasons}")


# gRPC has no way to say this. What one descriptor of a socket ends is ended for the others. The
# core sees that it accepts no more, says so on standard error, and goes on with what is open.
def stop_listening(port: int) -> None:
    """Ends the listening of this process on a TCP port. Linux only."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        # Others may be closed meanwhile, and most are no sockets.
        with (
            contextlib.suppress(OSError),
            socket.fromfd(int(name), socket.AF_INET, socket.SOCK_STREAM) as each,
        ):
            listens = each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens and each.getsockname()[1:2] == (port,):
                each.shutdown(socket.SHUT_RDWR)


def port_options(settings: RpcSettings) -> tuple[tuple[str, int], ...]:
    """The channel options of a server."""
    return (
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Fronts decompress: the core does it on the threads that read all connections.
        ("grpc.per_message_decompression", 0),
        # gRPC cancels what goes beyond, which looks as if the caller had.
        ("grpc.server.max_pending_requests", _MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        # A second server on a taken port must fail, not share it.
        ("grpc.so_reuseport", 0),
        # Whoever connects and says nothing: by default two minutes.
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        *_connection_options(settings.connections),
    )


_HANDSHAKE_MS: Final = 10_000


def _connection_options(settings: ConnectionSettings) -> list[tuple[str, int]]:
    options = [("grpc.max_concurrent_streams", settings.max_calls)]
    if settings.max_connections:
        options.append(("grpc.max_allowed_incoming_connections", settings.max_connections))
    if settings.max_age_s:
        options += [
            ("grpc.max_connection_age_ms", _ms(settings.max_age_s)),
            ("grpc.max_connection_age_grace_ms", _ms(settings.age_grace_s)),
        ]
    if settings.max_idle_s:
        options.append(("grpc.max_connection_idle_ms", _ms(settings.max_idle_s)))
    if settings.keepalive_s:
        timeout_ms = _ms(settings.keepalive_timeout_s)
        options += [
            ("grpc.keepalive_time_ms", _ms(settings.keepalive_s)),
            ("grpc.keepalive_timeout_ms", timeout_ms),
            # Without it a peer that stopped is not noticed for a minute.
            ("grpc.http2.ping_timeout_ms", timeout_ms),
            # Also where no call is open, and more than twice between two of them.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    return options


def _ms(duration_s: float) -> int:
    return max(1, round(duration_s * 1000))
