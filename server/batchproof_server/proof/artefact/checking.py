"""Levels 0 and 1 of the audit: the files of a model, before any loader touches them."""

import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any, Final

from batchproof_server.base.errors import cut
from batchproof_server.base.files import reason_of
from batchproof_server.base.validation import parser_says
from batchproof_server.proof.artefact.archive_form import (
    CONFIG_NAME,
    audit_contents,
    audit_directory,
    audit_members,
    audit_start,
    keras_version,
)
from batchproof_server.proof.artefact.hdf5_claims import audit_hdf5
from batchproof_server.proof.artefact.saved_model_files import audit_saved_model
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.keras.config import audit_config
from batchproof_server.proof.rules import found

_HDF5_SUFFIXES: Final = (".h5", ".hdf5")
_IN_MEMORY_BYTES: Final = 16 << 20
# The rest is about training: a custom loss is never loaded.
_MODEL_KEYS: Final = ("module", "class_name", "config", "registered_name", "name")


def audit_artefact(path: Path) -> tuple[Finding, ...]:
    """Looks at a ``.keras`` file or a SavedModel directory without loading it.

    Needs neither TensorFlow nor Keras, and little memory however large the artefact claims to be.
    Never raises for what is wrong with the artefact.
    """
    try:
        if path.is_dir():
            return tuple(audit_saved_model(path))
        return _keras_file(path)
    except OSError as fault:
        reason = reason_of(fault)
        return (found("BP001", path.name, f"cannot be read ({reason})"),)


def _keras_file(path: Path) -> tuple[Finding, ...]:
    if path.suffix.lower() in _HDF5_SUFFIXES:
        return (found("BP010", path.name, "is HDF5, which is not served"),)
    with path.open("rb") as file:
        if finding := audit_start(file, path.name) or audit_directory(file, path.name):
            return (finding,)
    try:
        with zipfile.ZipFile(path) as archive:
            return _archive(archive, path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeError) as fault:
        return (found("BP002", path.name, cut(f"is no whole zip archive: {fault}", 200)),)


def _archive(archive: zipfile.ZipFile, path: Path) -> tuple[Finding, ...]:
    """Each step only when the one before found nothing, since it relies on that."""
    return (
        tuple(audit_members(archive, path))
        or tuple(audit_contents(archive))
        or _weights(archive)
        or _with_writer(_config(archive), archive, path.name)
    )


def _with_writer(
    findings: tuple[Finding, ...], archive: zipfile.ZipFile, name: str
) -> tuple[Finding, ...]:
    """The same, and who wrote the file where that may be the reason."""
    written_by = keras_version(archive)
    if not findings or not written_by.startswith("2."):
        return findings
    return (*findings, found("BP019", name, f"was saved by Keras {written_by}"))


def keras_2_finding(artefact: Path) -> Finding | None:
    """That a file which Keras cannot load was saved by Keras 2; None where it was not."""
    try:
        with zipfile.ZipFile(artefact) as archive:
            written_by = keras_version(archive)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return None
    if not written_by.startswith("2."):
        return None
    return found("BP019", artefact.name, f"was saved by Keras {written_by}")


def _weights(archive: zipfile.ZipFile) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for member in archive.infolist():
        if member.filename.lower().endswith(_HDF5_SUFFIXES):
            with archive.open(member) as content, _seekable(content) as weights:
                findings += audit_hdf5(weights, member.filename)
    return tuple(findings)


def _seekable(content: IO[bytes]) -> tempfile.SpooledTemporaryFile[bytes]:
    """A copy: HDF5 jumps about, and a zip member can only be read forwards at a fair price."""
    copy = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(content, copy)
    copy.seek(0)
    return copy


def _config(archive: zipfile.ZipFile) -> tuple[Finding, ...]:
    try:
        config: Any = json.loads(archive.read(CONFIG_NAME))
        if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
            return (
                found("BP009", CONFIG_NAME, "it holds no model, expected that of Model.save()"),
            )
        return audit_config({key: config[key] for key in _MODEL_KEYS if key in config})
    except (ValueError, RecursionError) as fault:
        return (found("BP009", CONFIG_NAME, cut(f"it cannot be read: {parser_says(fault)}", 200)),)
