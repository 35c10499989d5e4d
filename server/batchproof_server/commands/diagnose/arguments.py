"""The arguments of ``batchproof-server diagnose``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import add_allow_unproven, add_bundle, add_config


def add_diagnose(commands: Any) -> None:
    """Adds the command."""
    diagnose = commands.add_parser(
        "diagnose",
        help="say why a picture gets its answer",
        description="Serves BUNDLE and measures each PICTURE: other recipes, co-batched rows, "
        "training mode, changes of the picture, its place among the reference pictures. Prints a "
        "verdict with its evidence. Exits with 0 when every picture was diagnosed, with 1 when the "
        "model was refused or failed, or with 2 for wrong usage and for what cannot be used.",
    )
    add_bundle(diagnose)
    diagnose.add_argument(
        "pictures",
        type=Path,
        nargs="+",
        metavar="PICTURE",
        help="a file, a folder of them, or - for standard input",
    )
    diagnose.add_argument("--label", metavar="L", help="what the picture really is")
    diagnose.add_argument(
        "--tensor",
        type=Path,
        metavar="FILE",
        help="your own input tensor, .npy, or -: which recipe?",
    )
    diagnose.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="your own scores, .npy or .json: what gave them?",
    )
    diagnose.add_argument("--json", action="store_true", help="print one JSON object")
    diagnose.add_argument("--html", type=Path, metavar="FILE", help="write one page")
    add_allow_unproven(diagnose, "diagnose with")
    add_config(diagnose)
