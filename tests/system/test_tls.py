"""Transport security: certificates of the server and of clients."""

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
