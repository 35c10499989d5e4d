"""Opens SavedModels: one signature, with the variables and tables that it needs.

Importing this module imports TensorFlow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from batchproof_server.backends.foreign_faults import finding
from batchproof_server.backends.traced.source import TracedSource
from batchproof_server.backends.traced.threads import configure_threads
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.graph.before_loading import DEFAULT_SIGNATURE, SERVE_TAG


def open_saved_model(artefact: Path, settings: EngineSettings) -> TracedSource:
    """Loads a SavedModel with its variables and tables and picks the signature to serve.

    Returns:
        The signature ``serving_default``, or the only one; inputs and outputs by the names of the
        signature, sorted.

    Raises:
        ModelRefused: the directory is missing or broken, or its signature is not clear; or
            TensorFlow runs already with other threads.
    """
    configure_threads(settings)
    try:
        loaded = tf.saved_model.load(str(artefact), tags=[SERVE_TAG])
        signatures = {
            name: (function, function.structured_input_signature[1])
            for name, function in loaded.signatures.items()
        }
    except Exception as fault:  # TensorFlow raises what it likes
        raise ModelRefused(
            f"{artefact.name} cannot be loaded by TensorFlow", (finding(artefact, fault),)
        ) from fault
    function, inputs = _pick(signatures)
    names = sorted(inputs)

    def call(tensors: Sequence[Any]) -> dict[str, Any]:
        outputs = function(**dict(zip(names, tensors, strict=True)))
        return {name: outputs[name] for name in sorted(outputs)}

    specs = {name: inputs[name] for name in names}
    return TracedSource(specs, call, loaded)


def _pick(signatures: dict[str, Any]) -> Any:
    if DEFAULT_SIGNATURE in signatures:
        return signatures[DEFAULT_SIGNATURE]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    names = ", ".join(f'"{name}"' for name in sorted(signatures)) or "none"
    raise ModelRefused(
        "the SavedModel's signature is not clear",
        (f'signatures: found {names}, expected "{DEFAULT_SIGNATURE}" or exactly one',),
    )
