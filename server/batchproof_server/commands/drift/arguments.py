"""The arguments of ``batchproof-server drift``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import (
    add_allow_unproven,
    add_bundle,
    add_config,
    add_limit,
)


def add_drift(commands: Any) -> None:
    """Adds the command."""
    drift = commands.add_parser(
        "drift",
        help="compare pictures or logged answers with the reference profile, without Prometheus",
        description="Answers the pictures of a folder, through the server's own recipe and model, "
        "or reads answers from a log, and compares what they look like with the reference profile: "
        "the same figures as the rules of Prometheus. The pictures need no labels. Exits with 0 "
        "when an alert would not fire, with 1 when it would or the model is refused, or with 2 for "
        "wrong usage.",
    )
    add_bundle(drift)
    compared = drift.add_mutually_exclusive_group(required=True)
    compared.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a folder of pictures at any depth; a .csv or an .npz file as for evaluate",
    )
    compared.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="answers as JSON lines: what `batchproof predict --json` prints or a capture writes; "
        "a folder of such files, or - for standard input",
    )
    drift.add_argument(
        "--skip-faulty",
        action="store_true",
        help="leave out lines of the log that cannot be used, instead of refusing it",
    )
    add_limit(drift)
    drift.add_argument(
        "--profile", type=Path, metavar="FILE", help="the reference (BUNDLE/profile.json)"
    )
    drift.add_argument(
        "--tta",
        action="store_true",
        help="look at the pictures with the profile's policy of test-time augmentation too",
    )
    drift.add_argument("--json", action="store_true", help="print the result as JSON")
    drift.add_argument(
        "--html", type=Path, metavar="FILE", help="write one page with plots, which needs no other"
    )
    add_allow_unproven(drift, "compare with")
    add_config(drift)
