"""What a Keras model answers in training mode: what a wrongly run model would say. Never served.

Importing this module imports Keras.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from batchproof_server.backends.keras.nesting import named, structure
from batchproof_server.base.signature import Array, Tensors

_MOST_EAGER_DRAWS: Final = 10


def answer_in_training_mode(
    model: Any, inputs: Tensors, *, statistics: bool, dropout: bool, draws: int = 1
) -> dict[str, Array]:
    """``model(x, training=True)``, after which the model is as it was before.

    Many draws are executed as a graph, which takes about six draws to trace and then an eighth to a
    fourteenth of the time.

    Args:
        model: as it was loaded.
        inputs: by the names of the signature; these rows are one batch.
        statistics: whether BatchNorm takes those of the batch.
        dropout: whether layers with a rate draw.
        draws: how many times the batch is answered, one after the other.

    Returns:
        The outputs by the names of the signature, one draw behind the other.
    """
    tensors = [inputs[tensor.name] for tensor in model.inputs]
    nested = keras.tree.pack_sequence_as(structure(model), tensors)

    def answer(rows: Any) -> Any:
        return model(rows, training=True)

    if draws > _MOST_EAGER_DRAWS:
        answer = tf.function(answer, autograph=False)
    with _switched(model, statistics=statistics, dropout=dropout):
        drawn = [named(model, answer(nested)) for _ in range(draws)]
    return {name: np.concatenate([np.asarray(one[name]) for one in drawn]) for name in drawn[0]}


@contextmanager
def _switched(model: Any, *, statistics: bool, dropout: bool) -> Iterator[None]:
    """What is not wanted is off for a while; moving statistics are given back."""
    layers = list(model._flatten_layers(include_self=False))  # noqa: SLF001 - Keras has no public walk
    norms = [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
    rated = [each for each in layers if isinstance(getattr(each, "rate", None), float)]
    kept = [(each, each.trainable, each.get_weights()) for each in norms]
    rates = [(each, each.rate) for each in rated]
    try:
        for each in norms:
            each.trainable = statistics
        for each in rated:
            each.rate = each.rate if dropout else 0.0
        yield
    finally:
        for layer, trainable, weights in kept:
            layer.trainable = trainable
            layer.set_weights(weights)
        for layer, rate in rates:
            layer.rate = rate
