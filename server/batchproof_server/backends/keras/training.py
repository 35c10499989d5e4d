"""What a Keras model answers in training mode: what a wrongly run model would say. Never served.

Importing this module imports Keras.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from batchproof_server.backends.keras.nesting import named, structure
from batchproof_server.backends.source import EnoughDraws
from batchproof_server.base.signature import Array, Tensors


def answer_in_training_mode(
    model: Any, inputs: Tensors, *, statistics: bool, dropout: bool
) -> dict[str, Array]:
    """``model(x, training=True)``, after which the model is as it was before.

    Args:
        model: as it was loaded.
        inputs: by the names of the signature; these rows are one batch.
        statistics: whether BatchNorm takes those of the batch.
        dropout: whether layers with a rate draw.

    Returns:
        The outputs by the names of the signature.
    """
    with _switched(model, statistics=statistics, dropout=dropout):
        return _arrays(model, model(_nested(model, inputs), training=True))


def draw_in_training_mode(
    model: Any, inputs: Tensors, enough: EnoughDraws, *, statistics: bool
) -> list[dict[str, Array]]:
    """The same with layers that draw, one draw after the other until ``enough(draws)``.

    Executed as a graph, of which a draw takes an eighth to a fourteenth of the time; a model that
    cannot be traced is executed as above.
    """
    nested, drawn = _nested(model, inputs), list[dict[str, Array]]()
    with _switched(model, statistics=statistics, dropout=True):
        answer = _traced(model, nested)
        while not enough(drawn):
            drawn.append(_arrays(model, answer(nested)))
    return drawn


def _traced(model: Any, nested: Any) -> Callable[[Any], Any]:
    def answer(rows: Any) -> Any:
        return model(rows, training=True)

    graph: Callable[[Any], Any] = tf.function(answer, autograph=False)
    try:
        graph(nested)
    except Exception:  # noqa: BLE001 - tracing runs the model's own Python, which raises what it likes
        return answer
    return graph


def _nested(model: Any, inputs: Tensors) -> Any:
    tensors = [tf.constant(inputs[tensor.name]) for tensor in model.inputs]
    return keras.tree.pack_sequence_as(structure(model), tensors)


def _arrays(model: Any, outputs: Any) -> dict[str, Array]:
    return {name: np.asarray(output) for name, output in named(model, outputs).items()}


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
