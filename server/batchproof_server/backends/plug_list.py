"""The plug list: every artefact kind and every engine, one line each.

Importing it imports none of them, so that the names are known to a bare install too.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from batchproof_server.backends.artefact import ArtefactKind
    from batchproof_server.backends.engine import Engine

# The name of a kind -> the module whose ``KIND`` it is; bundles are searched in this order.
ARTEFACT_KINDS: Mapping[str, str] = {
    "keras": "batchproof_server.backends.keras.kind",
    "saved_model": "batchproof_server.backends.saved_model.kind",
    "openvino_ir": "batchproof_server.backends.openvino_ir.kind",
    "onnx": "batchproof_server.backends.onnx.kind",
    "affine": "batchproof_server.backends.affine.kind",
}
# The name of an engine -> the module whose ``ENGINE`` it is; the first that accepts a source, and
# proves it, executes it.
ENGINES: Mapping[str, str] = {
    "openvino": "batchproof_server.backends.openvino.engine",
    "tensorflow": "batchproof_server.backends.tensorflow.engine",
    "numpy": "batchproof_server.backends.numpy.engine",
}
AUTO: Final = "auto"
"""No engine's name: the first that proves a model executes it."""


def check_engine_name(name: str) -> None:
    """Returns when it may be asked for.

    Raises:
        ValueError: it is no engine's.
    """
    if name != AUTO and name not in ENGINES:
        raise ValueError(f'engine is "{name}", expected one of {", ".join((AUTO, *ENGINES))}')


def artefact_kinds() -> "tuple[ArtefactKind, ...]":
    """The kinds, which are light values: none imports an engine until it opens something."""
    return tuple(importlib.import_module(module).KIND for module in ARTEFACT_KINDS.values())


def engines() -> "tuple[Engine, ...]":
    """The engines, which are light values too."""
    return tuple(importlib.import_module(module).ENGINE for module in ENGINES.values())


def packages() -> tuple[str, ...]:
    """The distributions of all kinds and engines, for certificates; some several times."""
    of_kinds = (package for kind in artefact_kinds() for package in kind.packages)
    return (*of_kinds, *(package for engine in engines() for package in engine.packages))
