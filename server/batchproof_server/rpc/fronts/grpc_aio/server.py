"""The gRPC port: options, transport security, and the services on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.base.files import read_start
from batchproof_server.rpc.fronts.grpc_aio.gate import Gate
from batchproof_server.rpc.fronts.grpc_aio.health import Health
from batchproof_server.rpc.fronts.grpc_aio.public_services import PublicService, reflection_pool
from batchproof_server.rpc.native.service import PredictionService
from batchproof_server.rpc.settings import RpcSettings, TlsSettings

# Of calls that no handler was given to yet. Each costs a few kB and what it sent of its message.
_MOST_PENDING = 1 << 14
_MAX_PEM_BYTES = 4 << 20


class PortUnavailable(OSError):
    """The port could not be opened; the text says which and what may be wrong."""


class _Methods:
    """Takes the handlers that generated code gives to a server."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self.handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Drops them: they are the same, and a server would ask them before any gate."""


class RpcServer:
    """The port and its services.

    Args:
        settings: limits and transport security.
        service: answers predictions.
        health: answers health checks.
        public: services of other protocols, on the same port.
        gate: may refuse a prediction before its message is read.
    """

    def __init__(
        self,
        settings: RpcSettings,
        service: PredictionService,
        health: Health,
        public: Sequence[PublicService] = (),
        gate: Gate | None = None,
    ) -> None:
        self._settings = settings
        self._service = service
        self._health = health
        self._gate = gate
        self._public = tuple(public)
        self._server: aio.Server | None = None

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
        self._server = self._configured()
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        tls = self._settings.tls
        try:
            if tls is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as fault:
            reasons = "it is taken, or no address of this host"
            if tls is not None:
                reasons += ", or the certificate and the key do not do"
            raise PortUnavailable(f"gRPC cannot listen on {address}: {reasons}") from fault
        await self._server.start()
        return bound

    def _configured(self) -> aio.Server:
        server = aio.server(
            options=(
                ("grpc.max_receive_message_length", self._settings.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # gRPC cancels what goes beyond, which looks as if the caller had.
                ("grpc.server.max_pending_requests", _MOST_PENDING),
                ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
                # A second server on a taken port must fail, not share it.
                ("grpc.so_reuseport", 0),
            )
        )
        own_methods = _Methods()
        pb_grpc.add_PredictionServiceServicer_to_server(self._service, own_methods)  # type: ignore[arg-type] # it is all of a server that is used
        methods = (*own_methods.handlers, *(service.methods for service in self._public))
        server.add_generic_rpc_handlers(
            methods if self._gate is None else (self._gate.before(methods),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        names = (
            pb.DESCRIPTOR.services_by_name["PredictionService"].full_name,
            health.SERVICE_NAME,
            reflection.SERVICE_NAME,
            *(service.name for service in self._public),
        )
        own = (pb.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
        pool = reflection_pool(own, self._public)
        reflection.enable_server_reflection(names, server, pool)
        return server

    async def stop(self, grace_s: float) -> None:
        """Refuses new RPCs, and returns when the others are finished or ``grace_s`` is over."""
        if self._server is not None:
            await self._server.stop(grace_s)


def _read(file: Path) -> bytes:
    try:
        content = read_start(file, _MAX_PEM_BYTES)
    except OSError as fault:
        raise PortUnavailable(f"TLS: {file} cannot be read") from fault
    if len(content) > _MAX_PEM_BYTES:
        raise PortUnavailable(f"TLS: {file} has more than {_MAX_PEM_BYTES} bytes")
    return content


def _credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    pair = (_read(tls.key), _read(tls.certificate))
    client_ca = None if tls.client_ca is None else _read(tls.client_ca)
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )
