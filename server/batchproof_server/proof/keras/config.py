"""Level 1 of the audit: the JSON configuration of a ``.keras`` file. Loads nothing, pure."""

from collections.abc import Iterator
from typing import Any, Final

from batchproof_server.proof.findings import Finding
from batchproof_server.proof.keras.modes import (
    RECURRENT,
    TRAINING_BY_DEFAULT,
    LayerFacts,
    audit_layers,
    masks,
    mode_of,
)
from batchproof_server.proof.rules import found

_MODELS: Final = ("Functional", "Sequential", "Model")
_COMPUTE: Final = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


def audit_config(config: Any) -> tuple[Finding, ...]:
    """Judges a whole ``config.json``: foreign code, training mode, precision, fixed row counts."""
    foreign = dict.fromkeys(_foreign_code(config))
    return (*foreign, *audit_layers(list(_layers(config, ""))))


def _layers(node: Any, path: str, *, wrapped: bool = False) -> Iterator[LayerFacts]:
    """Layers in the order of the file, which is that of execution."""
    config = node.get("config") if isinstance(node, dict) else None
    if not isinstance(config, dict):
        return
    here = f"{path}/{name}" if path and (name := _name_of(node, config)) else _name_of(node, config)
    if path != here:
        yield _facts(node, config, here, wrapped=wrapped)
    for value in config.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and _is_layer(inner):
                yield from _layers(inner, here, wrapped=node.get("class_name") not in _MODELS)


def _name_of(node: dict[str, Any], config: dict[str, Any]) -> str:
    return str(config.get("name") or node.get("name") or node.get("class_name"))


def _is_layer(node: dict[str, Any]) -> bool:
    config = node.get("config")
    return isinstance(config, dict) and "name" in config and "class_name" in node


def _facts(node: dict[str, Any], config: dict[str, Any], path: str, *, wrapped: bool) -> LayerFacts:
    kind = str(node.get("class_name"))
    training = tuple(_node_training(node.get("inbound_nodes")))
    shape = config.get("batch_shape")
    return LayerFacts(
        path,
        mode_of(kind, config, trainable=bool(config.get("trainable", True))),
        training,
        by_default=kind in TRAINING_BY_DEFAULT,
        compute_dtype=_compute_dtype(config.get("dtype")),
        static_rows=shape[0] if isinstance(shape, list) and shape else None,
        masks=kind in RECURRENT and masks(config),
        # A sequential model's file holds no nodes; it makes them anew from the defaults.
        shielded=not wrapped and kind != "BatchNormalization" and not any(training),
    )


def _node_training(nodes: Any) -> Iterator[Any]:
    for node in nodes if isinstance(nodes, list) else []:
        kwargs = node.get("kwargs") if isinstance(node, dict) else None
        yield kwargs.get("training") if isinstance(kwargs, dict) else None


def _compute_dtype(policy: Any) -> str:
    if isinstance(policy, dict):
        inner = policy.get("config")
        policy = inner.get("name") if isinstance(inner, dict) else None
    return _COMPUTE.get(policy, policy) if isinstance(policy, str) else ""


def _foreign_code(node: Any) -> Iterator[Finding]:
    """A finding for each object that is not part of Keras."""
    if isinstance(node, list):
        for item in node:
            yield from _foreign_code(item)
    elif isinstance(node, dict):
        if finding := _foreign(node):
            yield finding
        if node.get("class_name") == "Lambda":
            return  # its code is named already
        for value in node.values():
            yield from _foreign_code(value)


def _foreign(node: dict[str, Any]) -> Finding | None:
    kind, module = node.get("class_name"), node.get("module", "keras")
    where = _where(node)
    if kind == "Lambda":
        return found("BP012", where, "it is a Lambda layer, which carries Python code")
    if kind == "__lambda__":
        return found("BP012", where, "it is Python code in the place of a function")
    if kind == "function":
        function = node.get("config")
        name = f'"{function}"' if isinstance(function, str) else "without a name"
        return found("BP013", f"function {name}", "it is custom")
    if isinstance(kind, str) and str(module).partition(".")[0] not in ("keras", "builtins"):
        return found("BP013", where, f'it is of the custom class "{kind}"')
    return None


def _where(node: dict[str, Any]) -> str:
    config = node.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return f'layer "{name}"' if name else "an object without a name"
