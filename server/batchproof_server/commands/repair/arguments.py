"""The arguments of ``batchproof-server repair``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import add_bundle, add_config


def add_repair(commands: Any) -> None:
    """Adds the command."""
    repair = commands.add_parser(
        "repair",
        help="write a bundle that is in inference mode for good",
        description="Writes a copy of BUNDLE whose .keras file is mended for any server, proves it "
        "and keeps its certificate there. Never overwrites.",
    )
    add_bundle(repair)
    repair.add_argument(
        "-o", "--out", type=Path, metavar="OUT", required=True, help="a new directory"
    )
    add_config(repair)
