"""Whether a server speaks TLS, asked when no call comes through."""

import asyncio
import ssl
from contextlib import suppress
from typing import Final

_PATIENCE_S: Final = 2.0
# How gRPC's TLS library calls an answer that is no TLS.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


async def mismatch(target: str, details: str, *, tls: bool) -> str:
    """What is wrong when client and server do not both speak TLS; empty where they do.

    Args:
        target: of the server, as the client was given it.
        details: of the error UNAVAILABLE.
        tls: whether the client speaks TLS.
    """
    if tls:
        speaks_plain = any(sign in details for sign in _NO_TLS)
        return _SERVER_IS_PLAIN.format(target) if speaks_plain else ""
    address = _address(target)
    if address is None or not await _speaks_tls(*address):
        return ""
    return _SERVER_SPEAKS_TLS.format(target)


_SERVER_IS_PLAIN: Final = (
    "{} speaks no TLS, and this client does: leave out --tls and the options that begin with it "
    "(in Python: tls=None)"
)
_SERVER_SPEAKS_TLS: Final = (
    "{} speaks TLS, and this client does not: add --tls, or --tls-ca FILE where the server's "
    "certificate is not signed by a public authority (in Python: tls=TlsOptions(...))"
)


def _address(target: str) -> tuple[str, int] | None:
    """Host and port of a target that is no other name of gRPC's."""
    plain = target.removeprefix("dns:///").removeprefix("dns:")
    host, colon, port = plain.rpartition(":")
    if not colon or not port.isdecimal() or "/" in plain:
        return None
    return host.strip("[]"), int(port)


async def _speaks_tls(host: str, port: int) -> bool:
    # Whom it is does not matter here: nothing is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
