"""The arguments of ``batchproof-server token``."""

from pathlib import Path
from typing import Any


def add_token(commands: Any) -> None:
    """Adds the command."""
    token = commands.add_parser(
        "token",
        help="make, list and revoke the tokens of callers",
        description="Keeps the file that [access] tokens_file names. A running server reads it "
        "again within a second of a change. The file holds hashes: a token is shown once, when it "
        "is made. Exits with 0, with 1 when there is no such token, or with 2 for wrong usage.",
    )
    orders = token.add_subparsers(dest="order", required=True, metavar="ORDER")
    add = orders.add_parser("add", help="make a token, and print it to standard output")
    listing = orders.add_parser("list", help="the callers and the ids of their tokens")
    revoke = orders.add_parser("revoke", help="forget a token, or all of a caller")
    for each in (add, listing, revoke):
        each.add_argument("file", type=Path, metavar="FILE", help="file of the tokens")
    add.add_argument("name", help="name of the caller, as in [access.callers.NAME]")
    revoke.add_argument("which", metavar="ID|NAME", help="id of a token, or name of a caller")
