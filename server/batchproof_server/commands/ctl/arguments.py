"""The arguments of ``batchproof-server ctl``."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

_NEEDED: Final = "name of the model"


def add_ctl(commands: Any) -> None:
    """Adds the command."""
    ctl = commands.add_parser(
        "ctl",
        help="load, unload, roll back and label the versions of a running server",
        description="Asks a running server's management port, which serve --management-port or "
        "[management] enabled = true opens. Exits with 0 when the server did it, with 1 when it "
        "refused or could not be reached, and with 2 for wrong usage.",
    )
    ctl.add_argument(
        "--server",
        default="127.0.0.1:8502",
        metavar="HOST:PORT",
        help="management port (%(default)s)",
    )
    ctl.add_argument("--timeout-s", type=float, default=600.0, help="patience (%(default)g)")
    for name, what in (
        ("ca", "certificates that the server's is signed by; speaks TLS"),
        ("certificate", "of this client"),
        ("key", "of that certificate"),
    ):
        ctl.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)
    _add_orders(ctl.add_subparsers(dest="order", required=True, metavar="ORDER"))


def _add_orders(orders: Any) -> None:
    listing = orders.add_parser("list", help="every version with its state, labels and findings")
    listing.add_argument("model", nargs="?", default="", help=_NEEDED)
    listing.add_argument("--json", action="store_true", help="print it as JSON")
    _add_version(
        orders.add_parser("load", help="load a version, or what the policy wants, and wait for it")
    )
    _add_version(orders.add_parser("unload", help="drain a version, or a whole model"))
    orders.add_parser(
        "rollback", help="go back to the version before the newest that answers"
    ).add_argument("model", help=_NEEDED)
    orders.add_parser("reload", help="read the configuration again, and look for versions")
    label = orders.add_parser("label", help="move labels, all at once")
    label.add_argument("model", help=_NEEDED)
    label.add_argument("labels", nargs="+", metavar="LABEL=VERSION", help="LABEL= removes a label")
    orders.add_parser("log-level", help="change what is logged").add_argument(
        "level", choices=("debug", "info", "warning", "error")
    )
    orders.add_parser("drain", help="answer what was accepted, and end")


def _add_version(parser: ArgumentParser) -> None:
    parser.add_argument("model", help=_NEEDED)
    parser.add_argument("version", nargs="?", type=int, help="number of the version")
