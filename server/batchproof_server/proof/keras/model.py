"""Level 2 of the audit: a loaded Keras model, through all layers inside layers.

Importing this module imports Keras.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import keras

from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.keras.modes import LayerFacts, audit_layers, masks, mode_of
from batchproof_server.proof.rules import found


def audit_keras_model(model: Any) -> tuple[Finding, ...]:
    """Looks for training mode, reduced precision and custom layers in a ``keras.Model``."""
    layers = list(walk_layers(model))
    try:
        facts = [_facts(layer, path) for layer, path in layers]
    except AttributeError as moved:
        return (found("BP107", str(model.name), f"Keras {keras.__version__}: {moved}"),)
    return (*audit_layers(facts), *_custom(layers))


def walk_layers(model: Any) -> Iterator[tuple[Any, str]]:
    """Every layer with its path, in the order of execution, each before what is inside it.

    The model itself comes first, under its own name.
    """
    seen: set[int] = set()
    yield from _walk(model, str(model.name), seen)
    for layer in model._flatten_layers(include_self=False, recursive=True):  # noqa: SLF001 - also layers that no other way shows
        if id(layer) not in seen and not isinstance(layer, keras.Model):
            yield from _walk(layer, f"{model.name}/{layer.name}", seen)


def _walk(layer: Any, path: str, seen: set[int]) -> Iterator[tuple[Any, str]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield layer, path
    inner = layer.layers if isinstance(layer, keras.Model) else layer._layers  # noqa: SLF001 - Keras has no public list of them
    for part in inner:
        yield from _walk(part, f"{path}/{part.name}", seen)


def node_arguments(layer: Any) -> list[dict[str, Any]]:
    """The keyword arguments that Keras stored for each call of a layer; they can be changed.

    Raises:
        AttributeError: this version of Keras keeps them elsewhere.
    """
    return [node.arguments.kwargs for node in layer._inbound_nodes]  # noqa: SLF001 - guarded by tests


def _facts(layer: Any, path: str) -> LayerFacts:
    training = tuple(kwargs.get("training") for kwargs in node_arguments(layer))
    return LayerFacts(
        path,
        mode_of(_kind(layer), _rates(layer), trainable=bool(layer.trainable)),
        training,
        by_default=_by_default(layer),
        compute_dtype=str(layer.compute_dtype or ""),
        static_rows=_static_rows(layer),
        masks=hasattr(layer, "get_dropout_mask") and masks(_rates(layer)),
        shielded=bool(training) and all(stored is False for stored in training),
    )


def _rates(layer: Any) -> dict[str, float]:
    rates = {
        key: getattr(layer, key, None) for key in ("rate", "stddev", "dropout", "recurrent_dropout")
    }
    return {key: rate for key, rate in rates.items() if isinstance(rate, int | float)}


def _static_rows(layer: Any) -> int | None:
    shape = layer.batch_shape if isinstance(layer, keras.layers.InputLayer) else None
    return shape[0] if shape else None


def _kind(layer: Any) -> str:
    """The class of Keras that a layer is, or derives from."""
    for kind in type(layer).__mro__:
        if kind.__module__.partition(".")[0] == "keras":
            return str(kind.__name__)
    return type(layer).__name__  # pragma: no cover - a layer derives from keras.Layer


def _by_default(layer: Any) -> bool:
    training = inspect.signature(layer.call).parameters.get("training")
    return training is not None and training.default is True


def _custom(layers: list[tuple[Any, str]]) -> Iterator[Finding]:
    for layer, path in layers:
        kind = type(layer)
        if isinstance(layer, keras.layers.Lambda) or kind.__module__.partition(".")[0] != "keras":
            yield found("BP108", path, f"it is a {kind.__name__}", Severity.NOTE)
