"""The arguments of ``batchproof-server pack``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import add_allow_unproven, add_config, add_limit


def add_pack(commands: Any) -> None:
    """Adds the command."""
    pack = commands.add_parser(
        "pack",
        help="make a bundle from a model file and labelled pictures",
        description="Judges MODEL, finds out what its outputs are and how pictures were prepared "
        "for it, proves it, and writes the bundle DIR/NAME/VERSION: model, manifest, labels, "
        "samples, reference profile and certificate. Says what was found and what was guessed. "
        "Never overwrites. Exits with 0, with 1 when the model is refused or fails its proof, or "
        "with 2 for wrong usage and unusable data; then nothing is written.",
    )
    pack.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="a .keras file, a SavedModel, or an .h5 file of Keras, which is converted",
    )
    pack.add_argument(
        "--data",
        type=Path,
        metavar="LABELLED",
        help="labelled pictures that the model has not seen in training: a folder "
        "<class>/<pictures>, a .csv or an .npz file; without them the recipe stays a guess, and "
        "there is no reference for drift",
    )
    _add_training(pack)
    pack.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("models"), help="the repository (models)"
    )
    pack.add_argument("--name", help="of the model (that of the file)")
    pack.add_argument(
        "--version", type=int, default=1, metavar="N", help="the number of the version (1)"
    )
    pack.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="one label a line, in the order of the output (the folders of --data)",
    )
    pack.add_argument(
        "--recipe",
        metavar="PRESET",
        help="how pictures were prepared in training, as in docs/recipes.md; then it is not looked "
        "for",
    )
    add_limit(pack)
    add_allow_unproven(pack, "pack")
    add_config(pack)


def _add_training(pack: Any) -> None:
    pack.add_argument(
        "--training-data",
        type=Path,
        metavar="LABELLED",
        help="labelled pictures that the model was trained on, in the same form: their profile "
        "lets a diagnosis say whether the model knows them by heart",
    )
    pack.add_argument(
        "--training-curve",
        type=Path,
        metavar="FILE",
        help="the figures of the training, epoch by epoch, as batchproof.keras.PackBundle writes "
        "them",
    )
