"""The health check of the container, as it stands in docker-compose.yml, against a real server."""

import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from support.patience import PATIENCE_S
from system.bundles import write_affine
from system.conftest import Serve
from system.process import ServerProcess, until

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATES = Path(__file__).resolve().parent / "certificates"
TLS = {
    "BATCHPROOF_RPC__TLS__CERTIFICATE": str(CERTIFICATES / "server.pem"),
    "BATCHPROOF_RPC__TLS__KEY": str(CERTIFICATES / "server.key"),
}
CLIENTS_TOO = {**TLS, "BATCHPROOF_RPC__TLS__CLIENT_CA": str(CERTIFICATES / "authority.pem")}


@pytest.mark.parametrize("variables", [{}, TLS, CLIENTS_TOO], ids=["plain", "tls", "mutual"])
def test_the_container_is_healthy_when_the_server_is_ready(
    serve: Serve, tmp_path: Path, variables: dict[str, str]
) -> None:
    write_affine(tmp_path / "exact" / "1")
    server = serve(tmp_path, variables=variables)
    server.wait_ready()

    assert _checked(server) == 0


def test_the_container_is_not_healthy_while_the_server_goes(serve: Serve, tmp_path: Path) -> None:
    write_affine(tmp_path / "exact" / "1")
    duck = {**CLIENTS_TOO, "BATCHPROOF_SERVER__LAME_DUCK_S": str(PATIENCE_S)}
    server = serve(tmp_path, variables=duck)
    server.wait_ready()
    server.process.terminate()
    until("it is not ready", lambda: server.get("/readyz")[0] == HTTPStatus.SERVICE_UNAVAILABLE)

    assert _checked(server) != 0
    server.process.terminate()


def _checked(server: ServerProcess) -> int:
    """The exit code of the check; only the port is another one."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    word, program, *arguments = services["server"]["healthcheck"]["test"]
    assert (word, program) == ("CMD", "python")
    http = server.addresses()["http"]
    command = [each.replace("127.0.0.1:8080", http) for each in arguments]
    assert command != arguments
    return subprocess.run(
        [sys.executable, *command], capture_output=True, check=False, timeout=PATIENCE_S
    ).returncode
