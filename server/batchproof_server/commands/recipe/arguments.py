"""The arguments of ``batchproof-server recipe``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import (
    add_allow_unproven,
    add_bundle,
    add_config,
    add_limit,
)


def add_recipe(commands: Any) -> None:
    """Adds ``recipe`` with ``find`` and ``show`` to the commands."""
    recipe = commands.add_parser(
        "recipe",
        help="find the recipe a model was trained with, or look at what one makes of a picture",
        description="Recipes: the way from a picture to what the model sees.",
    )
    actions = recipe.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_find(actions)
    _add_show(actions)


def _add_find(actions: Any) -> None:
    find = actions.add_parser(
        "find",
        help="try the plausible recipes on labelled pictures",
        description="Serves BUNDLE and answers labelled pictures under every plausible recipe. "
        "Ranks recipes by the likelihood of the true classes, names those that cannot be told from "
        "the best, and prints the recipe to write. Exits with 0 when the manifest's recipe may be "
        "the best, with 1 when another is better beyond doubt, or with 2 for wrong usage.",
    )
    add_bundle(find)
    data = find.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="labelled pictures: a folder <class>/<pictures>, a .csv or an .npz file",
    )
    data.add_argument(
        "--unlabelled",
        type=Path,
        metavar="DIR",
        help="a folder of pictures without labels: gives a hint, and proves nothing",
    )
    add_limit(find)
    find.add_argument("--json", action="store_true", help="print the result as JSON")
    add_allow_unproven(find, "take")
    add_config(find)


def _add_show(actions: Any) -> None:
    show = actions.add_parser(
        "show",
        help="show what the model sees of one picture",
        description="Applies the recipe of BUNDLE to PICTURE. Prints shape, dtype and range of the "
        "tensor that the model sees. With --against, names what another program did otherwise, "
        "and exits with 1 when its array is another.",
    )
    add_bundle(show)
    show.add_argument(
        "picture", type=Path, metavar="PICTURE", help="an encoded picture; - reads it"
    )
    show.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write it: .npy as the model sees it, .png before it is scaled; never over a file",
    )
    show.add_argument(
        "--against",
        type=Path,
        metavar="FILE",
        help=".npy: what your own program makes of it; - reads it",
    )
    add_config(show)
