"""Puts a loaded Keras model into inference mode for good.

Importing this module imports Keras.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.keras.model import node_arguments, walk_layers


@dataclass(frozen=True, slots=True)
class Repair:
    """One change to a loaded model.

    Attributes:
        rule_id: the rule whose case it mends.
        where: the layer, with the path of the models around it.
        change: what was changed, as one sentence.
    """

    rule_id: str
    where: str
    change: str


def repair(model: Any) -> tuple[Repair, ...]:
    """Sets ``training`` to False in every node and ``trainable`` on every BatchNormalization.

    Recurrent cells lose their dropout rates too: without that they draw masks, which nothing uses,
    and move their seeds at each call even in inference mode (Keras 3.15).

    Either of the first two alone mends some models and some versions of Keras; together they mend
    all that are known. Doing it again changes nothing. No weight changes, so a model that was in
    inference mode answers bit for bit as before.

    Returns:
        What was changed, in the order of execution; empty for a model that was in order.

    Raises:
        ModelRefused: this version of Keras stores nodes in another way than is known here.
    """
    try:
        return tuple(change for layer, path in walk_layers(model) for change in _mend(layer, path))
    except AttributeError as moved:
        sentence = f"Keras {keras.__version__}: {moved}; use a version that this project tests with"
        raise ModelRefused("the model cannot be put into inference mode", (sentence,)) from moved


def _mend(layer: Any, path: str) -> Iterator[Repair]:
    for kwargs in node_arguments(layer):
        if kwargs.get("training"):
            kwargs["training"] = False
            yield Repair("BP104", path, "training=True in a node is now training=False")
    if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        layer.trainable = False
        yield Repair("BP101", path, "trainable=True is now trainable=False")
    if hasattr(layer, "get_dropout_mask"):
        for rate in ("dropout", "recurrent_dropout"):
            if getattr(layer, rate):
                setattr(layer, rate, 0.0)
                yield Repair("BP109", path, f"{rate} of the recurrent cell is now 0")
