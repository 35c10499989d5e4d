"""The web port over TLS: certificates, clients' certificates, and files that change."""

import asyncio
import os
import shutil
import ssl
from pathlib import Path

import pytest

from batchproof_server.application.config import Config
from batchproof_server.base.listener import PortUnavailable
from batchproof_server.rpc.settings import TlsSettings
from batchproof_server.web.settings import WebSettings
from support.bundles_on_disk import RAW, write_bundle
from support.patience import PATIENCE_S
from support.rest import RestConversation
from support.running import Running, running

FILES = Path(__file__).resolve().parents[2] / "system" / "certificates"
BODY = {"instances": [[1, 2, 3, 4]]}


def config(tls: TlsSettings) -> Config:
    """With a web port that speaks TLS."""
    return Config(web=WebSettings(enabled=True, tls=tls))


async def status(serving: Running, client: str = "", authority: str = "authority") -> int:
    """How a request over TLS is answered.

    Raises:
        OSError: it is not.
    """
    context = ssl.create_default_context(cafile=FILES / f"{authority}.pem")
    context.check_hostname = False
    if client:
        context.load_cert_chain(FILES / f"{client}.pem", FILES / f"{client}.key")
    host, _, port = serving.web.rpartition(":")
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        try:
            talk = RestConversation(reader, writer)
            first = await talk.ask("/v1/models/raw:predict", BODY)
            last = await talk.ask("/v2/health/live", headers={"Connection": "close"})
            assert (last.status, last.headers["connection"]) == (200, "close")
        except asyncio.IncompleteReadError as ended:
            raise ConnectionResetError from ended
        finally:
            writer.close()
        return first.status


async def test_requests_are_answered_over_tls(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    tls = TlsSettings(FILES / "server.pem", FILES / "server.key")
    async with running(tmp_path, config(tls)) as serving:
        assert await status(serving) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await status(serving, authority="other")


async def test_clients_show_certificates_where_an_authority_is_set(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    tls = TlsSettings(FILES / "server.pem", FILES / "server.key", FILES / "authority.pem")
    async with running(tmp_path, config(tls)) as serving:
        assert await status(serving, "client") == 200
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await status(serving)


async def test_files_that_change_are_read_again_once_they_belong_together(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models" / "raw" / "1", RAW)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    shutil.copy(FILES / "other.pem", certificate)
    shutil.copy(FILES / "other.key", key)
    async with running(tmp_path / "models", config(TlsSettings(certificate, key))) as serving:
        with pytest.raises(ssl.SSLCertVerificationError):
            await status(serving)
        _replace(FILES / "server.pem", certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            await status(serving)  # its key is not there yet: as before
        _replace(FILES / "server.key", key)
        assert await status(serving) == 200


def _replace(file: Path, by: Path) -> None:
    copied = by.with_suffix(".new")
    shutil.copy(file, copied)
    os.utime(copied, ns=(1, by.stat().st_mtime_ns + 1_000_000))
    copied.replace(by)


async def test_files_that_do_not_do_keep_the_port_closed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw" / "1", RAW)
    for key in ("other.key", "none"):
        tls = TlsSettings(FILES / "server.pem", FILES / key)
        with pytest.raises(PortUnavailable, match=r"web\.tls"):
            async with running(tmp_path, config(tls)):
                pass
