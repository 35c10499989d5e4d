"""Opens a model under the eyes of the audit and says what it is; executes nothing of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.examining import open_audited
from batchproof_server.backends.plug_list import artefact_kinds
from batchproof_server.backends.source import Anatomy
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.output_forms import FORMS
from batchproof_server.base.signature import Signature
from batchproof_server.imaging.settings import RecipeSettings
from batchproof_server.offline.inspection.guesses import (
    NO_SCALING,
    Guess,
    LikelyKind,
    guess_kind,
    guess_preset,
    guess_resize,
    picture_form,
)
from batchproof_server.proof.certificate.certificate import RepairRecord

HDF5_SUFFIXES: Final = (".h5", ".hdf5")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a model is.

    Attributes:
        kind: of the artefact, by name.
        artefact: what the manifest of a bundle would stand beside.
        signature: as requests name it.
        anatomy: what else can be seen.
        repairs: what was changed for inference mode.
        kinds: what each output is likely to be, by name.
        preset: of the recipe; with an empty value where the input is no picture.
        is_scaling_known: whether something says how pictures were scaled in training.
    """

    kind: str
    artefact: Path
    signature: Signature
    anatomy: Anatomy
    repairs: tuple[RepairRecord, ...]
    kinds: dict[str, Guess[LikelyKind]]
    preset: Guess[str]
    is_scaling_known: bool

    def recipe(self, preset: str) -> RecipeSettings | None:
        """A recipe that makes what the model takes; None where the input is no picture.

        Args:
            preset: that it is made of, a name of ``PRESETS``.
        """
        inputs = self.signature.inputs
        form = picture_form(inputs[0]) if len(inputs) == 1 else None
        if form is None:
            return None
        return form.settings(preset, guess_resize(inputs[0], self.anatomy))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The outputs that are not served, each with the reason."""
        why = "holds strings; names of classes come from labels.txt"
        return tuple(f"{name}: {why}" for name in self.anatomy.left_out)

    @property
    def scored(self) -> tuple[str, ...]:
        """The outputs that are likely to hold scores, in the order of the signature."""
        return tuple(name for name, guess in self.kinds.items() if guess.value in FORMS)

    @property
    def class_counts(self) -> dict[str, int]:
        """How many classes each output with scores has, by name."""
        sizes = {spec.name: spec.row_shape[:1] for spec in self.signature.outputs}
        return {
            name: 2 if FORMS[self.kinds[name].value].is_binary else int(sizes[name][0] or 0)
            for name in self.scored
        }


def inspect_model(path: Path, settings: EngineSettings) -> Inspection:
    """Looks at a model.

    Args:
        path: a file, or a directory that holds one.
        settings: of engines.

    Raises:
        ModelRefused: there is none, or it cannot be opened.
    """
    kind, artefact = find_artefact(path)
    opened = open_audited(kind, artefact, settings)
    signature = opened.source.signature((2,))
    anatomy = opened.source.anatomy()
    inputs = signature.inputs
    preset: Guess[str] = Guess("", f"pictures need one input, and there are {len(inputs)}")
    if len(inputs) == 1:
        preset = guess_preset(inputs[0], anatomy)
    return Inspection(
        kind=kind.name,
        artefact=artefact,
        signature=signature,
        anatomy=anatomy,
        repairs=opened.repairs,
        kinds={
            output.name: guess_kind(output, anatomy.endings.get(output.name, ""))
            for output in signature.outputs
        },
        preset=preset,
        is_scaling_known=preset.reason != NO_SCALING,
    )


def find_artefact(path: Path) -> tuple[ArtefactKind, Path]:
    """The model at a path, and its kind.

    Raises:
        ModelRefused: there is none, or several.
    """
    kinds = artefact_kinds()
    if path.suffix.lower() in HDF5_SUFFIXES:
        raise ModelRefused(
            "HDF5 files are not opened",
            (_convert_hdf5(path),),
        )
    if path.is_dir():
        found = [(kind, kind.artefact_in(path)) for kind in kinds if kind.lies_in(path)]
    else:
        same = [kind for kind in kinds if Path(kind.file).suffix == path.suffix]
        found = [(kind, path) for kind in same if path.is_file()]
    if len(found) != 1:
        came = " and ".join(kind.file for kind, _ in found) or "none"
        expected = ", ".join(dict.fromkeys(kind.file for kind in kinds))
        sentence = f"{path}: found {came}, expected one model: {expected}"
        raise ModelRefused("there is no model to look at", (sentence,))
    return found[0]


def _convert_hdf5(path: Path) -> str:
    return (
        f"{path.name}: HDF5 is the format of Keras 2; `batchproof-server pack {path.name}` judges "
        "it, converts it in a process of its own with safe loading, and packs it"
    )
