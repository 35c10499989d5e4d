"""One gRPC connection: its options, what TLS needs, and calls with a deadline."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import grpc
from grpc_health.v1 import health_pb2

from batchproof.v1 import prediction_pb2_grpc
from batchproof_client.errors import BatchproofError, ClientClosed, LocalInputError, error_of
from batchproof_client.retry import Failure, Retrier
from batchproof_client.transport import mismatch

Pem: TypeAlias = str | os.PathLike[str] | bytes
ChannelOptions: TypeAlias = Mapping[str, str | int]
Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Message = TypeVar("Message")
Reply = TypeVar("Reply")
HealthCheck: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[
    health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
]

_METADATA_KEY: Final = re.compile(r"[a-z0-9_.-]+")
DEFAULT_SERVER: Final = "127.0.0.1:8500"
SERVER_VARIABLE: Final = "BATCHPROOF_SERVER"
TOKEN_VARIABLE: Final = "BATCHPROOF_TOKEN"  # noqa: S105 - a name
DEFAULT_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024


def default_target() -> str:
    """The server of a caller who names none: that of the environment, or else of this machine."""
    return os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER


def default_token() -> str:
    """The token of a caller who names none: that of the environment; empty where there is none."""
    return os.environ.get(TOKEN_VARIABLE, "")


def bearing(token: str) -> Metadata:
    """The metadata that brings a token; nothing where there is none.

    Raises:
        LocalInputError: it is no word of printable ASCII. The text does not repeat it.
    """
    token = token.strip()
    if not token:
        return ()
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise LocalInputError("the token is no word of printable ASCII; its text is not shown here")
    return (("authorization", f"Bearer {token}"),)


def with_default_token(metadata: Metadata) -> Metadata:
    """What a caller brings who names no server: the token of the environment, or one of its own.

    The token goes to the server that the environment names beside it, and to no other.

    Raises:
        LocalInputError: the environment holds no token.
    """
    has_own = any(key == "authorization" for key, _ in metadata)
    return (*metadata, *(() if has_own else bearing(default_token())))


@dataclass(frozen=True, slots=True, repr=False)
class TlsOptions:
    """How to meet a server that speaks TLS.

    Each PEM is the path of a file, or the bytes themselves.

    Attributes:
        root_certificates: whom to trust; None for the roots that gRPC ships.
        client_certificate: the client's own chain, for a server that asks for one.
        client_key: the key of ``client_certificate``.
        server_name: the name to expect in the server's certificate, when it is not the target's.
    """

    root_certificates: Pem | None = None
    client_certificate: Pem | None = None
    client_key: Pem | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise LocalInputError("a client certificate needs its key, and a key its certificate")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is and how to speak with it.

    Attributes:
        target: ``host:port``, or any name that gRPC resolves.
        tls: None for plain text.
        metadata: sent with each call.
        max_message_bytes: the largest message to send or to receive.
        channel_options: further gRPC channel arguments; they win over the client's own.
    """

    target: str
    tls: TlsOptions | None = None
    metadata: Metadata = ()
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    channel_options: ChannelOptions = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_message_bytes < 1:
            raise LocalInputError(
                f"max_message_bytes is {self.max_message_bytes}, expected 1 or more"
            )
        for key, value in self.metadata:
            _check_metadata(key, value)


# gRPC itself says so at each call, in other words each time, and of some values never.
def _check_metadata(key: object, value: object) -> None:
    if not isinstance(key, str) or not _METADATA_KEY.fullmatch(key):
        raise LocalInputError(
            f"the metadata key {key!r} is none, expected lower-case letters, digits, - _ and ."
        )
    is_text = isinstance(value, str) and value.isascii() and value.isprintable()
    if not is_text and not isinstance(value, bytes):
        raise LocalInputError(
            f'the value of the metadata "{key}" is none, expected printable ASCII, or bytes'
        )


@dataclass(frozen=True, slots=True)
class _Opened:
    channel: grpc.aio.Channel
    prediction: "prediction_pb2_grpc.PredictionServiceAsyncStub"
    check_health: HealthCheck
    process_id: int


class Connection:
    """One channel, opened on the running loop by the first call.

    Args:
        endpoint: the server.
        retrier: makes the calls.
    """

    def __init__(self, endpoint: Endpoint, retrier: Retrier) -> None:
        self.endpoint = endpoint
        self.retrier = retrier
        self._opened: _Opened | None = None
        self._closed = False

    @property
    def prediction(self) -> "prediction_pb2_grpc.PredictionServiceAsyncStub":
        """The methods of the prediction service.

        Raises:
            ClientClosed: the connection was closed, or the process forked.
            LocalInputError: a file that the TLS options name cannot be read.
        """
        return self._open().prediction

    @property
    def check_health(self) -> HealthCheck:
        """The standard health check; raises as :attr:`prediction`."""
        return self._open().check_health

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Message, Reply],
        message: Message,
        deadline_s: float,
        request_id: str = "",
    ) -> Reply:
        """Calls until the deadline, an instant on the retrier's clock.

        Raises:
            BatchproofError: the server could not answer.
        """

        async def attempt_once(remaining_s: float) -> Reply:
            return await method(message, timeout=remaining_s, metadata=self.endpoint.metadata)

        try:
            return await self.retrier.call(attempt_once, deadline_s)
        except grpc.aio.AioRpcError as error:
            raise await self._error(error, request_id) from error
        except (TypeError, ValueError) as unfit:  # before anything is sent
            raise LocalInputError(f"gRPC cannot send the call: {unfit}") from unfit

    async def _error(self, error: grpc.aio.AioRpcError, request_id: str) -> BatchproofError:
        details = error.details() or ""
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            speaks_tls = self.endpoint.tls is not None
            details = await mismatch(self.endpoint.target, details, tls=speaks_tls) or details
        return error_of(
            error.code(),
            details,
            request_id=request_id,
            retry_after_s=Failure.of(error).pushback_s,
        )

    async def close(self) -> None:
        """Cancels the calls under way. May be called again."""
        self._closed = True
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.channel.close()

    def _open(self) -> _Opened:
        if self._closed:
            raise ClientClosed("the client is closed")
        if self._opened is None:
            self._opened = _open(self.endpoint)
        if self._opened.process_id != os.getpid():
            raise ClientClosed("the process forked after the client was opened; make a new client")
        return self._opened


def _open(endpoint: Endpoint) -> _Opened:
    channel = open_channel(endpoint)
    return _Opened(
        channel=channel,
        prediction=prediction_pb2_grpc.PredictionServiceStub(channel),
        check_health=channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        ),
        process_id=os.getpid(),
    )


def open_channel(endpoint: Endpoint) -> grpc.aio.Channel:
    """Opens a bare channel on the running loop, with the options of every connection of ours.

    Raises:
        LocalInputError: a file that the TLS options name cannot be read.
    """
    arguments = list((_arguments(endpoint) | dict(endpoint.channel_options)).items())
    tls = endpoint.tls
    if tls is None:
        return grpc.aio.insecure_channel(endpoint.target, arguments)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem(tls.root_certificates),
        private_key=_pem(tls.client_key),
        certificate_chain=_pem(tls.client_certificate),
    )
    return grpc.aio.secure_channel(endpoint.target, credentials, arguments)


def _arguments(endpoint: Endpoint) -> dict[str, str | int]:
    arguments: dict[str, str | int] = {
        "grpc.primary_user_agent": "batchproof-client",
        "grpc.max_send_message_length": endpoint.max_message_bytes,
        "grpc.max_receive_message_length": endpoint.max_message_bytes,
        # Retries are ours: they know the deadline and the caller's policy. gRPC's own, for a call
        # that never left this machine, stay on.
        "grpc.service_config_disable_resolution": 1,
        # A server that was restarted is found again in a fraction of a second.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.min_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2_000,
        # As often as a server's defaults permit, and below the idle limit of common balancers.
        "grpc.keepalive_time_ms": 300_000,
        "grpc.keepalive_timeout_ms": 20_000,
        # One client, one connection: what one client does to it, others do not feel.
        "grpc.use_local_subchannel_pool": 1,
    }
    if endpoint.tls is not None and endpoint.tls.server_name is not None:
        arguments["grpc.ssl_target_name_override"] = endpoint.tls.server_name
    return arguments


def _pem(source: Pem | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as failure:
        raise LocalInputError(
            f"{os.fspath(source)}: cannot be read: {failure.strerror or failure}"
        ) from failure
