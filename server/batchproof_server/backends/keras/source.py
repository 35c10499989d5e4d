"""Opens ``.keras`` files, and runs the model in inference mode.

Importing this module imports TensorFlow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from batchproof_server.backends.foreign_faults import finding
from batchproof_server.backends.keras.archive import check_archive
from batchproof_server.backends.keras.nesting import named, structure
from batchproof_server.backends.keras.penultimate import KerasPenultimate, penultimate
from batchproof_server.backends.keras.training import answer_in_training_mode, draw_in_training_mode
from batchproof_server.backends.source import Anatomy, EnoughDraws, LayeredSource
from batchproof_server.backends.traced.source import TracedSource
from batchproof_server.backends.traced.threads import configure_threads
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.proof.artefact.checking import keras_2_finding
from batchproof_server.proof.certificate.certificate import RepairRecord
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.keras.model import audit_keras_model
from batchproof_server.proof.keras.repair import repair


class KerasSource(TracedSource, LayeredSource):
    """A Keras model as it was loaded; engines get ``model(x, training=False)``.

    Args:
        model: with symbolic inputs.
    """

    def __init__(self, model: Any) -> None:
        def call(tensors: Sequence[Any]) -> dict[str, Any]:
            nested = keras.tree.pack_sequence_as(structure(model), tensors)
            return named(model, model(nested, training=False))

        inputs = {tensor.name: _input_spec(tensor) for tensor in model.inputs}
        super().__init__(inputs, call, model)
        self._model = model

    @property
    def versions(self) -> Mapping[str, str]:
        """Keras makes the functions."""
        return {"keras": keras.__version__}

    def repair(self) -> tuple[RepairRecord, ...]:
        """Turns training mode off for good in every layer; no weight changes.

        Raises:
            ModelRefused: this version of Keras stores nodes in another way than is known here.
        """
        self.forget()
        changes = repair(self._model)
        return tuple(RepairRecord(each.rule_id, each.where, each.change) for each in changes)

    def audit(self) -> tuple[Finding, ...]:
        """Looks for training mode, reduced precision and custom layers."""
        return audit_keras_model(self._model)

    def anatomy(self) -> Anatomy:
        """The models inside, the layers that prepare pictures, and how the outputs end."""
        layers = [self._model, *self._model._flatten_layers(include_self=False)]  # noqa: SLF001 - Keras has no public walk
        return replace(
            super().anatomy(),
            parts=tuple(layer.name for layer in layers if isinstance(layer, keras.Model)),
            preprocessing=tuple(
                _spelled(layer) for layer in layers if type(layer).__name__ in _PREPARING
            ),
        )

    def predict(self, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
        """What ``model.predict`` answers."""
        return predict(self._model, inputs, batch_rows)

    def in_training_mode(
        self, inputs: Tensors, *, statistics: bool, dropout: bool
    ) -> dict[str, Array]:
        """What ``model(x, training=True)`` answers, or a part of what it does."""
        return answer_in_training_mode(self._model, inputs, statistics=statistics, dropout=dropout)

    def draw_in_training_mode(
        self, inputs: Tensors, enough: EnoughDraws, *, statistics: bool
    ) -> list[dict[str, Array]]:
        """The same with layers that draw, one draw after the other."""
        return draw_in_training_mode(self._model, inputs, enough, statistics=statistics)

    def penultimate(self) -> KerasPenultimate | None:
        """What feeds the layer that makes the scores."""
        return penultimate(self._model)

    def save(self, target: Path) -> None:
        """Writes a ``.keras`` file."""
        self._model.save(target)


# Layers of Keras that do to pictures what a recipe would do, with what of them says how.
_PREPARING: Final[Mapping[str, tuple[str, ...]]] = {
    "Rescaling": ("scale", "offset"),
    "Normalization": (),
    "Resizing": ("height", "width", "interpolation"),
    "CenterCrop": ("height", "width"),
}


def _spelled(layer: Any) -> str:
    """Such as ``Rescaling(scale=0.1, offset=0.0)``."""
    name, config = type(layer).__name__, layer.get_config()
    return f"{name}({', '.join(f'{key}={config.get(key)}' for key in _PREPARING[name])})"


def open_keras(artefact: Path, settings: EngineSettings) -> KerasSource:
    """Loads a ``.keras`` file with the threads of the settings.

    Raises:
        ModelRefused: the file is missing, broken, HDF5 or needs custom code; Keras has another
            backend than TensorFlow; or TensorFlow runs already with other threads.
    """
    configure_threads(settings)
    return KerasSource(load_model(artefact))


def load_model(artefact: Path) -> Any:
    """Loads a ``.keras`` file as Keras has it, in safe mode and without its optimizer.

    Returns:
        A ``keras.Model`` with symbolic inputs.

    Raises:
        ModelRefused: the file is missing, broken, HDF5 or needs custom code.
    """
    _check_keras_backend()
    check_archive(artefact)
    try:
        model = keras.saving.load_model(artefact, compile=False, safe_mode=True)
    except Exception as fault:  # Keras, h5py and zipfile raise what they like
        writer = keras_2_finding(artefact)
        sentences = (finding(artefact, fault), *((writer.sentence,) if writer else ()))
        raise ModelRefused(f"{artefact.name} cannot be loaded by Keras", sentences) from fault
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        sentence = (
            f"{artefact.name} is a {type(model).__name__} without symbolic inputs, expected a "
            "functional model, or a sequential one that begins with keras.Input"
        )
        raise ModelRefused(f"{artefact.name} holds no model with known inputs", (sentence,))
    return model


def _check_keras_backend() -> None:
    if (came := keras.backend.backend()) != "tensorflow":
        raise ModelRefused(
            "Keras runs on another backend",
            (f'KERAS_BACKEND is "{came}" in this process, expected "tensorflow"',),
        )


def _input_spec(tensor: Any) -> Any:
    if tensor.sparse:
        return tf.SparseTensorSpec(tensor.shape, tensor.dtype)
    if tensor.ragged:
        return tf.RaggedTensorSpec(tensor.shape, tensor.dtype)
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def predict(model: Any, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
    """What ``model.predict`` answers, which is what a notebook shows; never used for serving.

    Args:
        model: as ``load_model`` returns it.
        inputs: by the names of the signature, any number of rows.
        batch_rows: of Keras' batches.
    """
    tensors = [inputs[tensor.name] for tensor in model.inputs]
    nested = keras.tree.pack_sequence_as(structure(model), tensors)
    outputs = model.predict(nested, batch_size=batch_rows, verbose=0)
    return {name: np.asarray(output) for name, output in named(model, outputs).items()}
