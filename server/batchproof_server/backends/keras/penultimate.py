"""The layer of a Keras model before the one that makes the scores.

Importing this module imports Keras.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from batchproof_server.backends.keras.nesting import structure
from batchproof_server.base.signature import Array


@dataclass(frozen=True, slots=True)
class KerasPenultimate:
    """The layer before the one that makes the scores.

    Attributes:
        layer: its name; of an activation between the two, if there is one.
        model: from the inputs to its output.
    """

    layer: str
    model: Any

    def __call__(self, rows: Array) -> Array:
        """From input rows to float32 [rows, values]; a feature map becomes its mean."""
        packed = keras.tree.pack_sequence_as(structure(self.model), [rows])
        output = self.model(packed, training=False)
        values: Array = np.asarray(output, np.float32)
        return values.mean(axis=tuple(range(1, values.ndim - 1))) if values.ndim > 1 else values


def penultimate(model: Any) -> KerasPenultimate | None:
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
    return KerasPenultimate(name, keras.Model(model.inputs, source))


_AFTER_THE_SCORES = (
    keras.layers.Activation,
    keras.layers.Softmax,
    keras.layers.Dropout,
    keras.layers.Reshape,
    keras.layers.Flatten,
)
_LEAST_LAYERS = 2
