"""Which server is asked, and how: the options that every command has."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from batchproof_client.commands.numbers import positive
from batchproof_client.connection import DEFAULT_SERVER, Metadata, TlsOptions, bearing
from batchproof_client.errors import LocalInputError


@dataclass(frozen=True, slots=True)
class ServerArguments:
    """Where the server is.

    Attributes:
        server: ``host:port``.
        tls: None for plain text.
        timeout_s: for each call.
        json: one JSON object a line in place of a table.
        metadata: sent with each call.
    """

    server: str
    tls: TlsOptions | None
    timeout_s: float
    json: bool
    metadata: Metadata = field(default=(), repr=False)


def add_server_options(parser: argparse.ArgumentParser, default_server: str) -> None:
    """Adds the options."""
    parser.add_argument(
        "--server",
        default=default_server,
        metavar="HOST:PORT",
        help=f"default: $BATCHPROOF_SERVER or {DEFAULT_SERVER}",
    )
    parser.add_argument(
        "--timeout-s", type=positive, default=10.0, metavar="SECONDS", help="for each call; 10"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="holds the token to bring; else $BATCHPROOF_TOKEN"
    )
    parser.add_argument(
        "--priority",
        choices=("critical", "default", "best_effort"),
        help="of the requests, at a server that asks who calls; default: the caller's own",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--tls", action="store_true", help="speak TLS, also without the options below"
    )
    parser.add_argument("--tls-ca", metavar="FILE", help="the certificates to trust")
    parser.add_argument("--tls-cert", metavar="FILE", help="the client's certificate")
    parser.add_argument("--tls-key", metavar="FILE", help="the client's key")
    parser.add_argument("--tls-server-name", metavar="NAME", help="to expect in the certificate")


def server_of(parsed: argparse.Namespace, default_token: str) -> ServerArguments:
    """What was typed.

    Args:
        parsed: of a parser with these options.
        default_token: brought where no file is named.

    Raises:
        LocalInputError: there is no token in the file, or it is none.
    """
    return ServerArguments(
        server=parsed.server,
        tls=_tls(parsed),
        timeout_s=parsed.timeout_s,
        json=parsed.json,
        metadata=(*_bearing(parsed.token_file, default_token), *_asking(parsed.priority)),
    )


def _asking(priority: str | None) -> Metadata:
    return () if priority is None else (("x-batchproof-priority", priority),)


def _bearing(file: str | None, default_token: str) -> Metadata:
    if file is None:
        return bearing(default_token)
    try:
        token = Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as fault:
        raise LocalInputError(f"--token-file {file} cannot be read as a line") from fault
    if not token.strip():
        raise LocalInputError(f"--token-file {file} is empty, expected one token")
    return bearing(token)


def _tls(parsed: argparse.Namespace) -> TlsOptions | None:
    wanted = (parsed.tls_ca, parsed.tls_cert, parsed.tls_key, parsed.tls_server_name)
    if not parsed.tls and not any(wanted):
        return None
    return TlsOptions(*wanted)
