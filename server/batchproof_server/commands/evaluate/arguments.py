"""The arguments of ``batchproof-server evaluate``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import (
    add_allow_unproven,
    add_bundle,
    add_config,
    add_data,
    add_limit,
    add_verbose,
)


def add_evaluate(commands: Any) -> None:
    """Adds the command."""
    evaluate = commands.add_parser(
        "evaluate",
        help="compare single pictures, batches and Keras on labelled data",
        description="Serves BUNDLE and answers the same labelled pictures one at a time, "
        "in batches, and through Keras' predict. Exits with 0 when single and batch agree bit for "
        "bit, with 1 when they do not, or with 2 for wrong usage.",
    )
    add_bundle(evaluate)
    add_data(evaluate)
    add_limit(evaluate)
    evaluate.add_argument(
        "--batch-sizes", default="1,2,8,32", metavar="N,N", help="pictures together (1,2,8,32)"
    )
    evaluate.add_argument(
        "--no-recipe-search",
        action="store_true",
        help="do not compare the manifest's recipe with others at the end (60 s at most)",
    )
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    add_verbose(evaluate)
    evaluate.add_argument(
        "--plots", type=Path, metavar="DIR", help="write confusion.png and reliability.png"
    )
    add_allow_unproven(evaluate, "evaluate")
    add_config(evaluate)
