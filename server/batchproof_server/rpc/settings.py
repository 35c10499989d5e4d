"""What may be set about the gRPC port."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

FrontName: TypeAlias = Literal["auto", "completion_queue", "grpc_aio"]
"""What speaks HTTP/2 on the gRPC port."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files in PEM format.

    Attributes:
        certificate: the server's certificate chain.
        key: its private key.
        client_ca: when given, only clients with a certificate signed by it are let in.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The connections of the gRPC port.

    Attributes:
        max_connections: open at the same time; more are closed as soon as they come; 0: as many as
            the process may have files.
        max_calls: open at the same time on one connection; a caller who knows the limit holds more
            back, and what comes before it knows is refused (REFUSED_STREAM).
        max_age_s: then its caller is asked to make another one; 0: never.
        age_grace_s: how long calls may go on after that.
        max_idle_s: without a call for this long it is closed; 0: never.
        keepalive_s: without a byte for this long its caller is asked for a sign of life; 0: never.
        keepalive_timeout_s: without that sign for this long it is closed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_connections: int = 10_000
    max_calls: int = 4096
    max_age_s: float = 0.0
    age_grace_s: float = 60.0
    max_idle_s: float = 0.0
    keepalive_s: float = 60.0
    keepalive_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_connections <= _MOST_INT32:
            came = f"max_connections is {self.max_connections}"
            raise ValueError(f"{came}, expected 0 to {_MOST_INT32}")
        if not 1 <= self.max_calls <= _MOST_INT32:
            raise ValueError(f"max_calls is {self.max_calls}, expected 1 to {_MOST_INT32}")
        for name in ("max_age_s", "max_idle_s", "keepalive_s"):
            _check_duration(name, getattr(self, name), at_least_s=0.0)
        for name in ("age_grace_s", "keepalive_timeout_s"):
            _check_duration(name, getattr(self, name), at_least_s=_SHORTEST_S)


# gRPC counts milliseconds in 32 bits.
_MOST_INT32: Final = (1 << 31) - 1
_LONGEST_S: Final = 2_000_000.0
_SHORTEST_S: Final = 0.001


def _check_duration(name: str, duration_s: float, *, at_least_s: float) -> None:
    if not at_least_s <= duration_s <= _LONGEST_S:
        expected = f"expected {at_least_s:g} to {_LONGEST_S:.0f}"
        raise ValueError(f"{name} is {duration_s}, {expected}")


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """The gRPC port.

    Attributes:
        max_message_bytes: of one request message, after decompression.
        max_bytes_in_flight: of all requests that are being read or answered; the next one waits
            unread for room.
        reading_counts_bytes: what a request that is being read counts as in that sum until its
            message is there, since HTTP/2 does not say how long it will be; no more than
            ``max_message_bytes`` ever count. Equal to it, the sum is never passed.
        message_timeout_s: the message of a unary call must be there so long after its headers.
        max_concurrent_requests: answered at the same time; more are refused.
        max_streams: streams open at the same time; more are refused.
        stream_window: unanswered requests of one stream; the next is not read before.
        connections: what bounds each connection.
        tls: None serves in plain text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_message_bytes: int = 64 << 20
    max_bytes_in_flight: int = 1 << 30
    reading_counts_bytes: int = 1 << 20
    message_timeout_s: float = 30.0
    max_concurrent_requests: int = 1024
    max_streams: int = 64
    stream_window: int = 64
    connections: ConnectionSettings = field(default_factory=ConnectionSettings)
    tls: TlsSettings | None = None

    @property
    def knows_clients(self) -> bool:
        """Whether each client has shown a certificate."""
        return self.tls is not None and self.tls.client_ca is not None

    def __post_init__(self) -> None:
        limits = (
            self.max_message_bytes,
            self.reading_counts_bytes,
            self.max_concurrent_requests,
            self.max_streams,
            self.stream_window,
        )
        if min(limits) < 1:
            raise ValueError("every limit must be 1 or more")
        if self.max_message_bytes > _MOST_INT32:  # gRPC keeps it in 32 bits
            most = f"expected {_MOST_INT32} at most"
            raise ValueError(f"max_message_bytes is {self.max_message_bytes}, {most}")
        if self.max_bytes_in_flight < self.max_message_bytes:
            raise ValueError(
                f"max_bytes_in_flight is {self.max_bytes_in_flight}, expected max_message_bytes, "
                f"which is {self.max_message_bytes}, or more"
            )
        _check_duration("message_timeout_s", self.message_timeout_s, at_least_s=_SHORTEST_S)
