"""TLS with one self-signed certificate for root, server and client; its key guards nothing."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from batchproof_client import (
    AsyncClient,
    Client,
    Health,
    LocalInputError,
    RetryPolicy,
    TlsOptions,
    Unavailable,
)
from batchproof_client.transport import mismatch
from wire.client.fake_server import FakeServer

CERTIFICATE = Path(__file__).parent / "certificate" / "certificate.pem"
KEY = CERTIFICATE.with_name("key.pem")
NAME = "batchproof.test"
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def mutual() -> Iterator[FakeServer]:
    """A server that asks its clients for a certificate."""
    certificate, key = CERTIFICATE.read_bytes(), KEY.read_bytes()
    fake = FakeServer(
        grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=certificate, require_client_auth=True
        )
    )
    yield fake
    fake.stop()


async def test_a_client_with_a_certificate_is_let_in(mutual: FakeServer) -> None:
    tls = TlsOptions(CERTIFICATE, CERTIFICATE, KEY, NAME)
    async with AsyncClient(mutual.target, tls=tls) as client:
        assert await client.health() is Health.SERVING


def test_the_bytes_will_do_as_well(mutual: FakeServer) -> None:
    certificate = CERTIFICATE.read_bytes()
    tls = TlsOptions(certificate, certificate, KEY.read_bytes(), NAME)
    with Client(mutual.target, tls=tls) as client:
        assert client.health() is Health.SERVING


@pytest.mark.parametrize(
    "tls",
    [
        None,
        TlsOptions(),
        TlsOptions(CERTIFICATE, server_name=NAME),
        TlsOptions(CERTIFICATE, CERTIFICATE, KEY, "another.name"),
    ],
    ids=["plain text", "unknown root", "no client certificate", "another name"],
)
async def test_everyone_else_is_not(mutual: FakeServer, tls: TlsOptions | None) -> None:
    async with AsyncClient(mutual.target, tls=tls, retry=ONCE) as client:
        with pytest.raises(Unavailable):
            await client.health()


async def test_a_client_without_tls_is_told_that_the_server_speaks_it(mutual: FakeServer) -> None:
    async with AsyncClient(mutual.target, retry=ONCE) as client:
        with pytest.raises(Unavailable, match=r"speaks TLS, and this client does not: add --tls"):
            await client.health()


async def test_a_client_with_tls_is_told_that_the_server_does_not_speak_it() -> None:
    plain = FakeServer()
    try:
        async with AsyncClient(plain.target, tls=TlsOptions(), retry=ONCE) as client:
            with pytest.raises(Unavailable, match=r"speaks no TLS, .*: leave out --tls"):
                await client.health()
    finally:
        plain.stop()


async def test_where_both_speak_the_same_the_error_is_the_servers(mutual: FakeServer) -> None:
    async with AsyncClient(mutual.target, tls=TlsOptions(), retry=ONCE) as client:
        with pytest.raises(Unavailable) as refused:
            await client.health()
    assert "speaks" not in str(refused.value)


@pytest.mark.parametrize("target", ["unix:socket", "xds:///name", "127.0.0.1:1", "no-port"])
async def test_a_target_that_nobody_answers_at_speaks_nothing(target: str) -> None:
    assert await mismatch(target, "Connection refused", tls=False) == ""


async def test_a_certificate_that_cannot_be_read_is_a_local_fault() -> None:
    async with AsyncClient("127.0.0.1:1", tls=TlsOptions("missing.pem")) as client:
        with pytest.raises(LocalInputError, match=r"missing\.pem: cannot be read: No such file"):
            await client.health()


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(LocalInputError, match="needs its key"):
        TlsOptions(client_certificate=CERTIFICATE)


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(TlsOptions(None, b"secret", b"secret"))
