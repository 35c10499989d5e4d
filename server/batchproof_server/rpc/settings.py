"""What may be set about the gRPC port."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


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
class RpcSettings:
    """The gRPC port.

    Attributes:
        max_message_bytes: of one request message, after decompression.
        max_concurrent_requests: answered at the same time; more are refused.
        max_streams: streams open at the same time; more are refused.
        stream_window: unanswered requests of one stream; the next is not read before.
        tls: None serves in plain text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_message_bytes: int = 64 << 20
    max_concurrent_requests: int = 1024
    max_streams: int = 64
    stream_window: int = 64
    tls: TlsSettings | None = None

    def __post_init__(self) -> None:
        limits = (
            self.max_message_bytes,
            self.max_concurrent_requests,
            self.max_streams,
            self.stream_window,
        )
        if min(limits) < 1:
            raise ValueError("every limit must be 1 or more")
