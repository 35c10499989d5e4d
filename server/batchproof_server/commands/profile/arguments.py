"""The arguments of ``batchproof-server profile``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from batchproof_server.commands.arguments import (
    add_allow_unproven,
    add_bundle,
    add_config,
    add_data,
    add_limit,
    add_verbose,
)

PROFILE: Final = "profile"
_STEPS: Final = ("build", "merge", "show")


def spelled_out(argv: Sequence[str]) -> list[str]:
    """``profile BUNDLE ...`` is short for ``profile build BUNDLE ...``."""
    words = list(argv)
    if len(words) > 1 and words[0] == PROFILE and words[1] not in (*_STEPS, "-h", "--help"):
        words.insert(1, "build")
    return words


def add_profile(commands: Any) -> None:
    """Adds the command and its three steps."""
    profile = commands.add_parser(
        PROFILE,
        help="build, add up or show what drift is measured against",
        description="`profile BUNDLE --data PATH` is short for `profile build BUNDLE --data PATH`.",
    )
    steps = profile.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_build(steps)
    _add_merge(steps)
    _add_show(steps)


def _add_build(steps: Any) -> None:
    build = steps.add_parser(
        "build",
        help="write the profile of a bundle",
        description="Answers labelled pictures that the model has not seen in training, through "
        "the server's own recipe and model, and writes what the answers and pictures look like to "
        "profile.json. Exits with 0, with 1 when the model is refused, or with 2 for wrong usage.",
    )
    add_bundle(build)
    add_data(build)
    build.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="write it there (BUNDLE/profile.json)"
    )
    add_limit(build)
    build.add_argument(
        "--tta",
        metavar="POLICY",
        help="look at the pictures with this policy of test-time augmentation too, and hold how "
        "far its views disagree (not)",
    )
    build.add_argument(
        "--samples",
        type=int,
        default=0,
        metavar="N",
        help="keep thumbnails and embeddings of N pictures in reference/ beside the profile",
    )
    build.add_argument(
        "--like",
        type=Path,
        metavar="FILE",
        help="take the bins of this profile, so that the two can be added up",
    )
    add_verbose(build)
    add_allow_unproven(build, "profile")
    add_config(build)


def _add_merge(steps: Any) -> None:
    merge = steps.add_parser(
        "merge",
        help="add up profiles of parts of the data",
        description="Writes the profile of all parts together. They must be of one model, "
        "recipe and TTA policy and have the same bins (`build --like`).",
    )
    merge.add_argument("profiles", type=Path, nargs="+", metavar="FILE", help="two or more")
    merge.add_argument("-o", "--out", type=Path, metavar="FILE", required=True)
    add_verbose(merge)


def _add_show(steps: Any) -> None:
    show = steps.add_parser(
        "show",
        help="print a profile as a table",
        description="Prints FILE. One that lies in a bundle, or is compared with one, must be of "
        "that model and recipe.",
    )
    show.add_argument("profile", type=Path, metavar="FILE")
    show.add_argument("--bundle", type=Path, metavar="BUNDLE", help="the model it must be of")
    add_verbose(show)
    show.add_argument("--json", action="store_true", help="print it as JSON")
    show.add_argument(
        "--plots", type=Path, metavar="DIR", help="write a histogram of each signal as PNG"
    )
    add_config(show)
