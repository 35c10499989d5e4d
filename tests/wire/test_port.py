"""The gRPC port: taken, unreachable, limited and encrypted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.application.config import Config
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.fronts.front import (
    Front,
    MakeFront,
    Routes,
)
from batchproof_server.rpc.settings import RpcSettings, TlsSettings
from support.bundles_on_disk import write_bundle
from support.fakes import FakeClock
from support.fronts import NoGate
from support.patience import PATIENCE_S
from support.running import failure, request, running

Make = Callable[..., Front]


@pytest.fixture
def server(make_front: MakeFront) -> Make:
    """Makes a server without methods, of the front that is tried."""

    def made(settings: RpcSettings | None = None) -> Front:
        return make_front(settings or RpcSettings(), Routes({}, {}, NoGate()), FakeClock())

    return made


async def test_a_port_that_is_taken_is_refused_and_not_shared(server: Make) -> None:
    first = server()
    port = await first.start("127.0.0.1", 0)
    try:
        with pytest.raises(PortUnavailable, match=f"gRPC cannot listen on 127.0.0.1:{port}: "):
            await server().start("127.0.0.1", port)
    finally:
        await first.drain(0)


async def test_an_ipv6_address_is_written_in_brackets(server: Make) -> None:
    with pytest.raises(PortUnavailable, match=r"cannot listen on \[2001:db8::1\]:0: "):
        await server().start("2001:db8::1", 0)


async def test_a_server_that_was_never_started_can_be_stopped(server: Make) -> None:
    never = server()
    await never.drain(0)
    assert await never.start("127.0.0.1", 0)
    await never.drain(0)


async def test_certificates_that_are_missing_or_junk_are_refused(
    server: Make, tmp_path: Path
) -> None:
    junk, missing = tmp_path / "junk.pem", tmp_path / "missing.pem"
    junk.write_text("junk")
    endless = Path("/dev/zero")
    for tls, sentence in (
        (TlsSettings(junk, missing), f"TLS: {missing} cannot be read"),
        (TlsSettings(junk, junk, missing), f"TLS: {missing} cannot be read"),
        (TlsSettings(endless, junk), f"TLS: {endless} has more than 4194304 bytes"),
        (TlsSettings(junk, junk), "are no certificate and its key in PEM format"),
    ):
        with pytest.raises(PortUnavailable, match=sentence):
            await server(RpcSettings(tls=tls)).start("127.0.0.1", 0)


@pytest.fixture
def tls() -> TlsSettings:
    """A certificate for localhost that is its own authority, made for these tests, and its key."""
    directory = Path(__file__).parents[1] / "data" / "tls"
    return TlsSettings(directory / "certificate.pem", directory / "key.pem")


async def ask(address: str, credentials: grpc.ChannelCredentials) -> pb.PredictResponse:
    async with aio.secure_channel(address, credentials) as channel:
        stub: Any = pb_grpc.PredictionServiceStub(channel)
        answer: pb.PredictResponse = await stub.Predict(request(), timeout=PATIENCE_S)
        return answer


async def test_a_server_with_a_certificate_is_asked_in_secret(
    tmp_path: Path, tls: TlsSettings
) -> None:
    write_bundle(tmp_path / "models" / "m" / "1")
    authority = grpc.ssl_channel_credentials(tls.certificate.read_bytes())
    async with running(tmp_path / "models", Config(rpc=RpcSettings(tls=tls))) as serving:
        assert (await ask(serving.address, authority)).rows
        plain = await failure(serving.stub.Predict(request(), timeout=PATIENCE_S))
        assert plain.code() is grpc.StatusCode.UNAVAILABLE


async def test_with_an_authority_only_clients_with_a_certificate_are_let_in(
    tmp_path: Path, tls: TlsSettings
) -> None:
    write_bundle(tmp_path / "models" / "m" / "1")
    mutual = TlsSettings(tls.certificate, tls.key, client_ca=tls.certificate)
    pem = tls.certificate.read_bytes()
    async with running(tmp_path / "models", Config(rpc=RpcSettings(tls=mutual))) as serving:
        known = grpc.ssl_channel_credentials(pem, tls.key.read_bytes(), pem)
        assert (await ask(serving.address, known)).rows
        refused = await failure(ask(serving.address, grpc.ssl_channel_credentials(pem)))
        assert refused.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_message_that_is_too_large_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "m" / "1", shape=(1000,))
    config = Config(rpc=RpcSettings(max_message_bytes=2_000))
    async with running(tmp_path, config) as serving:
        error = await failure(serving.stub.Predict(request([[0] * 1000])))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
