"""What may be set about the management port."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.listener import is_loopback
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.rpc.settings import RpcSettings, TlsSettings

_MAX_PORT = 65535
_MOST_CALLS = 32


@dataclass(frozen=True, slots=True)
class ManagementSettings:
    """The management port. Whoever reaches it may load, unload and end.

    Attributes:
        enabled: whether it is opened.
        port: 0 takes a free one.
        host: beyond the loopback interface only with ``tls`` and its ``client_ca``.
        tls: None serves in plain text.
        on_grpc_port: whether the calls of the Open Inference Protocol and of TensorFlow Serving
            that change what is served are answered on the gRPC port too, to whoever asks there.
        state_file: keeps what operators ordered from one start of the server to the next; empty
            forgets it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    enabled: bool = False
    port: int = 8502
    host: str = "127.0.0.1"
    tls: TlsSettings | None = None
    on_grpc_port: bool = False
    state_file: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= _MAX_PORT:
            raise ValueError(f"port is {self.port}, expected 0 to {_MAX_PORT}")
        if not is_loopback(self.host) and (self.tls is None or self.tls.client_ca is None):
            raise ValueError(
                f"host is {self.host}, expected a loopback address, or tls with a client_ca: "
                "whoever reaches the port may unload models and end the server"
            )

    def front(self) -> RpcSettings:
        """What bounds the callers of the port."""
        return RpcSettings(
            max_message_bytes=1 << 20, max_concurrent_requests=_MOST_CALLS, tls=self.tls
        )
