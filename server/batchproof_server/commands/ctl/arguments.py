"""The arguments of ``batchproof-server ctl``."""

from argparse import SUPPRESS, ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any, Final

_NEEDED: Final = "name of the model"
_SERVER: Final = "127.0.0.1:8502"
_TIMEOUT_S: Final = 600.0
_TOLERANCE: Final = 0.01


def add_ctl(commands: Any) -> None:
    """Adds the command."""
    # Before the order they have defaults; behind it they would overwrite what was said before.
    connection = _connection()
    connection.set_defaults(
        server=_SERVER, timeout_s=_TIMEOUT_S, ca=None, certificate=None, key=None, token_file=None
    )
    ctl = commands.add_parser(
        "ctl",
        parents=[connection],
        help="load, unload, roll back and label the versions of a running server",
        description="Asks a running server's management port, which serve --management-port or "
        "[management] enabled = true opens. Exits with 0 when the server did it, with 1 when it "
        "refused or could not be reached, and with 2 for wrong usage. The options stand before or "
        "behind the order.",
    )
    _add_orders(ctl.add_subparsers(dest="order", required=True, metavar="ORDER"))


def _connection() -> ArgumentParser:
    """How the server is reached; what is not given is not in the result."""
    parser = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    parser.add_argument("--server", metavar="HOST:PORT", help=f"management port ({_SERVER})")
    parser.add_argument(
        "--timeout-s", type=float, metavar="SECONDS", help=f"patience ({_TIMEOUT_S:g})"
    )
    for name, what in (
        ("ca", "certificates that the server's is signed by; speaks TLS"),
        ("certificate", "of this client"),
        ("key", "of that certificate"),
        ("token-file", "holds the token to bring"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)
    return parser


def _add_orders(orders: Any) -> None:
    add = partial(orders.add_parser, parents=[_connection()])
    listing = add("list", help="every version with its state, labels and findings")
    listing.add_argument("model", nargs="?", default="", help=_NEEDED)
    listing.add_argument("--json", action="store_true", help="print it as JSON")
    _add_version(add("load", help="load a version, or what the policy wants, and wait for it"))
    _add_version(add("unload", help="drain a version, or a whole model"))
    add("rollback", help="go back to the version before the newest that answers").add_argument(
        "model", help=_NEEDED
    )
    add("reload", help="read the configuration again, and look for versions")
    label = add("label", help="move labels, all at once")
    label.add_argument("model", help=_NEEDED)
    label.add_argument(
        "labels",
        nargs="+",
        metavar="LABEL=VERSION",
        help="LABEL= removes a label; LABEL VERSION=WEIGHT VERSION=WEIGHT shares its callers",
    )
    _add_version(
        add("shadow", help="let a version execute answered rows and answer nobody; end it")
    )
    compare = add("compare", help="say whether a version is worse than another")
    compare.add_argument("model", help=_NEEDED)
    compare.add_argument(
        "--tolerance",
        type=float,
        default=_TOLERANCE,
        metavar="SHARE",
        help=f"how much less often right it may be without being called worse ({_TOLERANCE:g})",
    )
    compare.add_argument("--json", action="store_true", help="print it as JSON")
    add("log-level", help="change what is logged").add_argument(
        "level", choices=("debug", "info", "warning", "error")
    )
    add("drain", help="answer what was accepted, and end")


def _add_version(parser: ArgumentParser) -> None:
    parser.add_argument("model", help=_NEEDED)
    parser.add_argument("version", nargs="?", type=int, help="number of the version")
