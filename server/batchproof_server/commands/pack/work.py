"""What is to be packed, checked before anything of the model is read."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof_server.application.config import Config
from batchproof_server.base.errors import cut
from batchproof_server.diagnosis.training_curve import TrainingCurve
from batchproof_server.imaging.presets import PRESETS
from batchproof_server.models.manifest import MANIFEST_NAME
from batchproof_server.offline.diagnosing.training import read_training_curve
from batchproof_server.offline.packing.labelling import FoundLabels, labels_in, labels_of_data

_NO_LABELS: Final = FoundLabels((), is_guessed=False, reason="none were given")


@dataclass(frozen=True, slots=True)
class PackWork:
    """What was asked for.

    Attributes:
        config: as the server has it.
        model: the file or directory.
        data: labelled pictures, if there are any.
        training_data: labelled pictures that the model was trained on, if there are any.
        training_curve: how it was trained, if that is known.
        out: the directory of the bundle, which is not there.
        name: of the model.
        version: of the model.
        labels: given, or as the data name them.
        preset: of the recipe, where it was given.
        limit: how many of the pictures to take.
    """

    config: Config
    model: Path
    data: Path | None
    training_data: Path | None
    training_curve: TrainingCurve | None
    out: Path
    name: str
    version: int
    labels: FoundLabels
    preset: str | None
    limit: int | None


def read_work(arguments: Namespace, config: Config) -> PackWork:
    """Checks what was given.

    Raises:
        ValueError: it cannot be used.
    """
    model = arguments.model.resolve()
    name = _name(arguments.name, model)
    if arguments.version < 1:
        raise ValueError(f"--version: {arguments.version}, expected 1 or more")
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: {arguments.limit}, expected 1 or more")
    if arguments.recipe is not None and arguments.recipe not in PRESETS:
        known = ", ".join(PRESETS)
        raise ValueError(f'--recipe: unknown "{cut(arguments.recipe)}", one of {known}')
    out = arguments.out / name / str(arguments.version)
    if out.exists() or out.is_symlink():
        raise ValueError(
            f"{out}: exists already and is not overwritten; choose another --version or --name"
        )
    if (model / MANIFEST_NAME).exists():
        raise ValueError(f"{model}: is a bundle already, it holds a {MANIFEST_NAME}")
    if arguments.training_data is not None and arguments.data is None:
        raise ValueError("--training-data: expected --data too, pictures it has not seen")
    curve = arguments.training_curve
    return PackWork(
        config=config,
        model=model,
        data=arguments.data,
        training_data=arguments.training_data,
        training_curve=None if curve is None else read_training_curve(curve),
        out=out,
        name=name,
        version=arguments.version,
        labels=_labels(arguments),
        preset=arguments.recipe,
        limit=arguments.limit,
    )


def _name(given: str | None, model: Path) -> str:
    """A folder's name; that of TensorFlow Serving's layout is above the number of the version."""
    is_number = model.name.isascii() and model.name.isdigit()
    name = given or (model.parent.name if is_number else model.stem)
    if not name or name.startswith(".") or set(name) & set("/\\") or not name.isprintable():
        raise ValueError(f'--name: "{cut(name)}", expected the name of a folder')
    return name


def _labels(arguments: Namespace) -> FoundLabels:
    if arguments.labels is not None:
        return labels_in(arguments.labels)
    return _NO_LABELS if arguments.data is None else labels_of_data(arguments.data)
