"""The arguments of ``batchproof-server inspect``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import add_config


def add_inspect(commands: Any) -> None:
    """Adds the command."""
    inspect = commands.add_parser(
        "inspect",
        help="say what a model file is, and begin its manifest",
        description="Opens MODEL without executing it. Prints its inputs and outputs, what it does "
        "to pictures inside, what its outputs and its recipe are likely to be and why, and a "
        "manifest to begin with.",
    )
    inspect.add_argument(
        "model", type=Path, metavar="MODEL", help="a .keras file, a SavedModel, or a bundle"
    )
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    add_config(inspect)
