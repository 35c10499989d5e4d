"""The options of ``batchproof predict`` that speak of test-time augmentation."""

import argparse

from batchproof_client.augmentation import Augmentation


def add_tta_options(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    group = parser.add_argument_group("test-time augmentation (see docs/tta.md)")
    group.add_argument("--tta", default="", metavar="POLICY", help="none, flip, d4, crops, ...")
    group.add_argument(
        "--tta-view",
        action="append",
        default=[],
        metavar="VIEW",
        help='in the place of a policy, may be repeated: "identity", "rotate(10)"',
    )
    group.add_argument(
        "--tta-aggregation", default="", metavar="NAME", help='"mean", "vote", "sharpen(2)", ...'
    )
    group.add_argument(
        "--tta-early-exit",
        type=float,
        metavar="PROBABILITY",
        help="stop after the plain view when its best class reaches this",
    )
    group.add_argument("--tta-seed", type=int, metavar="N", help="of random views")
    group.add_argument(
        "--show-views", action="store_true", help="show what each view alone would answer"
    )


def tta_of(parsed: argparse.Namespace) -> Augmentation | None:
    """What was typed; None when nothing was."""
    asked = Augmentation(
        policy=parsed.tta,
        views=tuple(parsed.tta_view),
        aggregation=parsed.tta_aggregation,
        early_exit=parsed.tta_early_exit,
        return_views=parsed.show_views,
        seed=parsed.tta_seed,
    )
    return None if asked == Augmentation() else asked
