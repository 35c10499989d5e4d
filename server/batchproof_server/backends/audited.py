"""Loads TensorFlow models under the eyes of the audit: artefact, model, repair, compiled graphs.

Importing this module imports TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from batchproof_server.backends import keras, saved_model
from batchproof_server.backends.tensorflow_runtime import compile_buckets, configure_threads
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.proof.artefact.checking import audit_artefact
from batchproof_server.proof.certificate.certificate import RepairRecord
from batchproof_server.proof.examination import Examined, ExaminedLoader
from batchproof_server.proof.findings import Finding, failures
from batchproof_server.proof.graph import audit_functions
from batchproof_server.proof.keras.model import audit_keras_model
from batchproof_server.proof.keras.repair import repair

_MODE_RULES: Final = "BP100"


def check_safe(artefact: Path) -> tuple[Finding, ...]:
    """Looks at the files before any loader does.

    Returns:
        What is worth knowing of an artefact that is safe to load.

    Raises:
        ModelRefused: it is not safe to load, whatever was allowed.
    """
    # What the file says of modes is judged again, after the repair, in the loaded model.
    findings = tuple(each for each in audit_artefact(artefact) if each.rule_id < _MODE_RULES)
    if unsafe := failures(findings):
        sentences = tuple(finding.sentence for finding in unsafe)
        raise ModelRefused(f"{artefact.name} is not safe to load", sentences)
    return findings


def load_keras(
    artefact: Path, *, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> Examined:
    """Loads, repairs and compiles a ``.keras`` file.

    Raises:
        ModelRefused: see ``check_safe`` and ``keras.load``; or it cannot be repaired.
    """
    findings = check_safe(artefact)
    configure_threads(settings)
    model = keras.load_model(artefact)
    repairs = _repaired(model)
    remaining = audit_keras_model(model)
    backend = keras.compile_model(model, buckets_rows)
    served = audit_functions(backend.functions)
    return Examined(backend, (*findings, *remaining, *served), repairs)


def save_repaired(artefact: Path, target: Path) -> tuple[RepairRecord, ...]:
    """Loads a ``.keras`` file, repairs it and saves it, so that it is good for any server.

    Raises:
        ModelRefused: see ``check_safe`` and ``keras.load_model``; or it cannot be repaired.
    """
    check_safe(artefact)
    model = keras.load_model(artefact)
    repairs = _repaired(model)
    model.save(target)
    return repairs


def penultimate(artefact: Path) -> keras.Penultimate | None:
    """The layer before the scores of a ``.keras`` file, in inference mode; None without one.

    Raises:
        ModelRefused: as ``load_keras``.
    """
    check_safe(artefact)
    model = keras.load_model(artefact)
    _repaired(model)
    return keras.penultimate(model)


def _repaired(model: Any) -> tuple[RepairRecord, ...]:
    return tuple(RepairRecord(each.rule_id, each.where, each.change) for each in repair(model))


def load_saved_model(
    artefact: Path, *, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> Examined:
    """Loads and compiles a SavedModel, which is never altered.

    Raises:
        ModelRefused: see ``check_safe`` and ``saved_model.load``.
    """
    findings = check_safe(artefact)
    configure_threads(settings)
    backend = compile_buckets(saved_model.load_signature(artefact), buckets_rows)
    return Examined(backend, (*findings, *audit_functions(backend.functions)))


LOADERS: Final[Mapping[str, ExaminedLoader]] = {
    "keras": load_keras,
    "saved_model": load_saved_model,
}
