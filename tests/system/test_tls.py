"""Transport security: certificates of the server and of clients."""

import socket
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc import aio

from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from system.bundles import write_affine
from system.conftest import Serve
from system.process import ServerProcess, own_lines, run
from system.traffic import Outcome, ask, connected, tensors

CERTIFICATES = Path(__file__).parent / "certificates"
REQUEST = tensors(np.ones((1, 4), np.float32))
GOOD_FILES = {"CERTIFICATE": "server.pem", "KEY": "server.key"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the one model "exact"."""
    write_affine(tmp_path / "exact" / "1")
    return tmp_path


def _settings(files: Mapping[str, str]) -> dict[str, str]:
    return {f"BATCHPROOF_RPC__TLS__{key}": str(CERTIFICATES / name) for key, name in files.items()}


def _read(name: str) -> bytes:
    return (CERTIFICATES / name).read_bytes()


async def _ask(server: ServerProcess, authority: str, client: str = "") -> Outcome:
    """One request over TLS, with the certificate of a client when it is given."""
    credentials = grpc.ssl_channel_credentials(
        _read(f"{authority}.pem"),
        _read(f"{client}.key") if client else None,
        _read(f"{client}.pem") if client else None,
    )
    async with aio.secure_channel(server.grpc, credentials) as channel:
        return await ask(pb_grpc.PredictionServiceStub(channel), REQUEST)


async def test_a_server_with_a_certificate_answers_those_who_trust_its_authority(
    serve: Serve, repository: Path
) -> None:
    server = serve(repository, variables=_settings(GOOD_FILES))
    server.wait_ready()
    assert (await _ask(server, "authority")).code == "OK"
    assert (await _ask(server, "other")).code == "UNAVAILABLE"
    async with connected(server.grpc) as stub:
        assert (await ask(stub, REQUEST)).code == "UNAVAILABLE"


async def test_with_an_authority_for_clients_only_its_clients_are_answered(
    serve: Serve, repository: Path
) -> None:
    files = {**GOOD_FILES, "CLIENT_CA": "authority.pem"}
    server = serve(repository, variables=_settings(files))
    server.wait_ready()
    assert (await _ask(server, "authority", "client")).code == "OK"
    assert (await _ask(server, "authority")).code == "UNAVAILABLE"
    assert (await _ask(server, "authority", "other")).code == "UNAVAILABLE"
    assert [record["code"] for record in server.finished(1)] == ["OK"]


@pytest.mark.parametrize("front", ["completion_queue", "grpc_aio"])
@pytest.mark.parametrize(
    ("name", "code"), [("batchproof test client", "OK"), ("nobody", "UNAUTHENTICATED")]
)
async def test_a_certificate_of_a_client_shows_which_caller_it_is(
    serve: Serve, repository: Path, front: str, name: str, code: str
) -> None:
    variables = {
        **_settings({**GOOD_FILES, "CLIENT_CA": "authority.pem"}),
        "BATCHPROOF_SERVER__FRONT": front,
        "BATCHPROOF_ACCESS__CALLERS": f'{{ shop = {{ subjects = ["CN={name}"] }} }}',
    }
    server = serve(repository, variables=variables)
    server.wait_ready()
    assert (await _ask(server, "authority", "client")).code == code


def _oldest_offered(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.minimum_version = context.maximum_version = version
    return context


def _handshake(server: ServerProcess, context: ssl.SSLContext) -> bytes:
    """The certificate that the server shows, DER."""
    host, port = server.grpc.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain) as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


def test_a_client_that_offers_less_than_tls_1_2_is_refused(serve: Serve, repository: Path) -> None:
    server = serve(repository, variables=_settings(GOOD_FILES))
    server.wait_ready()
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(OSError):  # noqa: PT011 - an alert, or the end of the connection
            _handshake(server, _oldest_offered(old))
    for new in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert _handshake(server, _oldest_offered(new))


async def test_certificates_are_read_again_when_they_change_and_connections_go_on(
    serve: Serve, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = tmp_path_factory.mktemp("tls")
    certificate, key = files / "certificate", files / "key"
    certificate.write_bytes(_read("server.pem"))
    key.write_bytes(_read("server.key"))
    names = {"CERTIFICATE": certificate, "KEY": key}
    variables = {f"BATCHPROOF_RPC__TLS__{name}": str(path) for name, path in names.items()}
    server = serve(repository, variables=variables)
    server.wait_ready()
    credentials = grpc.ssl_channel_credentials(_read("authority.pem"))
    async with aio.secure_channel(server.grpc, credentials) as open_before:
        stub = pb_grpc.PredictionServiceStub(open_before)
        assert (await ask(stub, REQUEST)).code == "OK"
        # Between the two files they do not belong together: what there was goes on.
        certificate.write_bytes(_read("other.pem"))
        assert (await _ask(server, "authority")).code == "OK"
        key.write_bytes(_read("other.key"))
        context = _oldest_offered(ssl.TLSVersion.TLSv1_3)
        other = ssl.PEM_cert_to_DER_cert(_read("other.pem").decode())
        assert _handshake(server, context) == other
        key.unlink()
        assert _handshake(server, context) == other
        assert (await ask(stub, REQUEST)).code == "OK"


@pytest.mark.parametrize(
    "files",
    [
        {"KEY": "absent.key"},
        {"KEY": "server.pem"},
        {"KEY": "other.key"},
        {"KEY": "README.md"},
        {"CERTIFICATE": "absent.pem"},
        {"CERTIFICATE": "README.md"},
        {"CLIENT_CA": "absent.pem"},
        {"CLIENT_CA": "README.md"},
    ],
    ids=lambda files: "-".join([*files, *files.values()]),
)
def test_a_wrong_file_is_one_line_and_exit_code_2(repository: Path, files: dict[str, str]) -> None:
    ended = run(
        *("serve", repository, "--grpc-port", "0", "--http-port", "0"),
        variables=_settings({**GOOD_FILES, **files}),
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = own_lines(ended)
    assert "TLS" in line or "certificate" in line
    assert "Traceback" not in ended.stderr
