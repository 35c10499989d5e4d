"""The arguments of ``batchproof-server tta``."""

import argparse
from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import (
    add_allow_unproven,
    add_bundle,
    add_config,
    add_data,
    add_limit,
)


def add_tta(commands: Any) -> None:
    """Adds ``tta`` with ``evaluate`` and ``fit`` to the commands."""
    tta = commands.add_parser(
        "tta",
        help="measure test-time augmentation on labelled data, or fit its weights",
        description="Test-time augmentation: what it gains and what it costs on data of your own.",
    )
    actions = tta.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_evaluate(actions)
    _add_fit(actions)


def _add_evaluate(actions: Any) -> None:
    evaluate = actions.add_parser(
        "evaluate",
        help="compare policies with the plain answers",
        description="Answers labelled pictures plainly and with every policy, and says what each "
        "corrects, what it corrupts and what it costs. Recommends a policy only when its gain is "
        "significant, else none.",
    )
    _add_common(evaluate)
    evaluate.add_argument(
        "--policies",
        metavar="P,P",
        help="which to try (every named one, and those of the manifest; none with --views)",
    )
    evaluate.add_argument(
        "--views", metavar="V,V", help='try these too, as in "identity,rotate(8),rotate(-8)"'
    )
    evaluate.add_argument(
        "--aggregations",
        metavar="A,A",
        help="which to try with each; the first judges single views and early exit (mean, "
        "logit_mean and the policy's own)",
    )
    evaluate.add_argument(
        "--early-exit",
        default="0.9,0.95,0.99",
        metavar="T,T",
        help="confidences from which the plain answer would do (0.9,0.95,0.99)",
    )
    evaluate.add_argument("--plots", type=Path, metavar="DIR", help="write tta.png")


def _add_fit(actions: Any) -> None:
    fit = actions.add_parser(
        "fit",
        help="fit the weights of a policy's views",
        description="Fits the weights of a policy's views on a part of the labelled pictures and "
        "says what they do on the rest. The file is bound to the model, the recipe and the policy.",
    )
    _add_common(fit)
    fit.add_argument("--policy", required=True, metavar="P", help="whose views to weigh")
    fit.add_argument(
        "--held-out",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of the pictures that the fit never sees (0.5)",
    )
    fit.add_argument(
        "--split-seed", type=int, default=0, metavar="N", help="chooses which those are (0)"
    )
    fit.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write them (tta_weights.json in the bundle); never over an older file",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    add_data(parser)
    add_limit(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of views that draw random numbers (0)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_allow_unproven(parser, "take")
    add_config(parser)
