"""Keras models: one compiled function per bucket over the loaded model, in inference mode.

Importing this module imports TensorFlow. Its two steps, ``load_model`` and ``compile_model``, leave
a place between them for whoever wants to look at the model, or mend it, before it is compiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from batchproof_server.backends.keras_archive import check_archive
from batchproof_server.backends.tensorflow_runtime import (
    TensorFlowBackend,
    Traceable,
    compile_buckets,
    configure_threads,
    finding,
)
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Array, Tensors


def load(
    artefact: Path, *, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> TensorFlowBackend:
    """Loads a ``.keras`` file and compiles one function per bucket.

    Raises:
        ModelRefused: the file is missing, broken, HDF5 or needs custom code; Keras has another
            backend than TensorFlow; or the inputs or outputs cannot be served.
    """
    configure_threads(settings)
    return compile_model(load_model(artefact), buckets_rows)


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
        raise ModelRefused(
            f"{artefact.name} cannot be loaded by Keras", (finding(artefact, fault),)
        ) from fault
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        sentence = (
            f"{artefact.name} is a {type(model).__name__} without symbolic inputs, expected a "
            "functional model, or a sequential one that begins with keras.Input"
        )
        raise ModelRefused(f"{artefact.name} holds no model with known inputs", (sentence,))
    return model


def compile_model(model: Any, buckets_rows: tuple[int, ...]) -> TensorFlowBackend:
    """Compiles ``model(x, training=False)`` for each bucket.

    Args:
        model: as ``load_model`` returns it; kept alive by the backend.
        buckets_rows: the row counts to compile for.

    Raises:
        ModelRefused: an input or output cannot be served, or the model cannot be traced.
    """
    inputs = {tensor.name: _input_spec(tensor) for tensor in model.inputs}
    engine = f"tensorflow {tf.__version__}, keras {keras.__version__}"

    def call(tensors: Sequence[Any]) -> dict[str, Any]:
        outputs = model(keras.tree.pack_sequence_as(_structure(model), tensors), training=False)
        return _named(model, outputs)

    return compile_buckets(Traceable(inputs, call, model, engine), buckets_rows)


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


def _structure(model: Any) -> Any:
    """The nesting in which the model takes its inputs; ``model.inputs`` is its flat order."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _named(model: Any, outputs: Any) -> dict[str, Any]:
    """Outputs by their keys where the model returns a dictionary, else by the names of layers."""
    layers = getattr(model, "output_names", None) or [model.layers[-1].name]
    if isinstance(outputs, dict):
        names = [".".join(map(str, path)) for path, _ in keras.tree.flatten_with_path(outputs)]
    else:
        names = _distinct(layers)
    return dict(zip(names, keras.tree.flatten(outputs), strict=True))


def _distinct(names: Sequence[str]) -> list[str]:
    """A layer with several outputs has its name several times: ``split``, ``split_1``."""
    distinct: list[str] = []
    for name in names:
        candidate, count = name, 0
        while candidate in distinct or (count and candidate in names):
            count += 1
            candidate = f"{name}_{count}"
        distinct.append(candidate)
    return distinct


def predict(model: Any, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
    """What ``model.predict`` answers, which is what a notebook shows; never used for serving.

    Args:
        model: as ``load_model`` returns it.
        inputs: by the names of the signature, any number of rows.
        batch_rows: of Keras' batches.
    """
    tensors = [inputs[tensor.name] for tensor in model.inputs]
    nested = keras.tree.pack_sequence_as(_structure(model), tensors)
    outputs = model.predict(nested, batch_size=batch_rows, verbose=0)
    return {name: np.asarray(output) for name, output in _named(model, outputs).items()}


@dataclass(frozen=True, slots=True)
class Penultimate:
    """The layer before the one that makes the scores.

    Attributes:
        layer: its name; of an activation between the two, if there is one.
        model: from the inputs to its output.
    """

    layer: str
    model: Any

    def __call__(self, rows: Array) -> Array:
        """From input rows to float32 [rows, values]; a feature map becomes its mean."""
        packed = keras.tree.pack_sequence_as(_structure(self.model), [rows])
        output = self.model(packed, training=False)
        values: Array = np.asarray(output, np.float32)
        return values.mean(axis=tuple(range(1, values.ndim - 1))) if values.ndim > 1 else values


def penultimate(model: Any) -> Penultimate | None:
    """What feeds the layer that makes the scores; None where that is no single tensor.

    Activations, dropout and reshapes after the weights of the last layer belong to the scores.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, _AFTER_THE_SCORES)]
    source: Any = getattr(layers[-1], "input", None) if layers else None
    if len(layers) < _LEAST_LAYERS or not keras.backend.is_keras_tensor(source):
        return None
    makers = {id(getattr(layer, "output", None)): layer for layer in model.layers}
    while isinstance(makers.get(id(source)), keras.layers.Dropout):  # does nothing in inference
        source = makers[id(source)].input
    name = makers[id(source)].name if id(source) in makers else source.name
    return Penultimate(name, keras.Model(model.inputs, source))


_AFTER_THE_SCORES = (
    keras.layers.Activation,
    keras.layers.Softmax,
    keras.layers.Dropout,
    keras.layers.Reshape,
    keras.layers.Flatten,
)
_LEAST_LAYERS = 2
