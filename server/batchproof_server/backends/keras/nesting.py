"""How a Keras model nests and names its inputs and outputs.

Importing this module imports Keras.
"""

from collections.abc import Sequence
from typing import Any

import keras


def structure(model: Any) -> Any:
    """The nesting in which the model takes its inputs; ``model.inputs`` is its flat order."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def named(model: Any, outputs: Any) -> dict[str, Any]:
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
