"""A bundle: a directory with a model artefact and its manifest, read and checked for form."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import TooLarge, read_text
from batchproof_server.models.manifest import MANIFEST_NAME, NO_MANIFEST, Manifest, parse_manifest
from batchproof_server.tta.weights import WEIGHTS_NAME, FittedWeights, parse_weights

LABELS_NAME = "labels.txt"
MAX_TEXT_BYTES = 1 << 20

# The file that makes a directory a bundle -> the backend that loads it. Looked for in this order.
ARTEFACTS = {
    "model.keras": "keras",
    "saved_model.pb": "saved_model",
    "affine.json": "affine",
}
# What belongs to a SavedModel beside its .pb; everything else in the directory is the bundle's.
_SAVED_MODEL_PARTS = ("saved_model.pb", "fingerprint.pb", "keras_metadata.pb")
_SAVED_MODEL_FOLDERS = ("variables", "assets", "assets.extra")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """One model version on disk.

    Attributes:
        backend: the name of the backend that loads the artefact.
        artefact: the file or, for a SavedModel, the directory.
        labels: one for each class; empty when the bundle names none.
        model_digest: SHA-256 of the artefact, in hexadecimal.
        tta_weights: fitted weights of test-time augmentation, if the bundle has any.
    """

    name: str
    version: int
    backend: str
    artefact: Path
    manifest: Manifest
    labels: tuple[str, ...]
    model_digest: str
    tta_weights: FittedWeights | None = None


def has_artefact(directory: Path) -> bool:
    """Whether the directory is a bundle, good or bad."""
    return any((directory / name).exists() for name in (*ARTEFACTS, MANIFEST_NAME))


def read_bundle(name: str, version: int, directory: Path) -> Bundle:
    """Reads manifest and labels and computes the digest; loads nothing.

    Raises:
        ModelRefused: there is no artefact, or the manifest or the labels have faults.
    """
    found = [artefact for artefact in ARTEFACTS if (directory / artefact).exists()]
    if len(found) != 1:
        came = " and ".join(found) or "none"
        raise ModelRefused(
            "the bundle needs exactly one artefact",
            (f"artefact: found {came}, expected exactly one of {', '.join(ARTEFACTS)}",),
        )
    backend = ARTEFACTS[found[0]]
    artefact = directory if backend == "saved_model" else directory / found[0]
    manifest_file = directory / MANIFEST_NAME
    manifest = parse_manifest(_text(manifest_file)) if manifest_file.exists() else NO_MANIFEST
    return Bundle(
        name=name,
        version=version,
        backend=backend,
        artefact=artefact,
        manifest=manifest,
        labels=_read_labels(directory, manifest),
        model_digest=digest_artefact(artefact),
        tta_weights=_read_tta_weights(directory),
    )


def _text(file: Path) -> str:
    try:
        return read_text(file, MAX_TEXT_BYTES)
    except TooLarge as fault:
        raise ModelRefused(f"{file.name} is too large", (f"{file.name}: {fault}",)) from fault
    except (OSError, UnicodeDecodeError) as fault:
        reason = "is not UTF-8 text" if isinstance(fault, UnicodeDecodeError) else "cannot be read"
        raise ModelRefused(f"{file.name} {reason}", (f"{file.name}: {reason}",)) from fault


def _read_labels(directory: Path, manifest: Manifest) -> tuple[str, ...]:
    file = directory / (manifest.labels or LABELS_NAME)
    if manifest.labels is None and not file.exists():
        return ()
    return tuple(line.strip() for line in _text(file).splitlines() if line.strip())


def _read_tta_weights(directory: Path) -> FittedWeights | None:
    file = directory / WEIGHTS_NAME
    if not file.exists():
        return None
    try:
        return parse_weights(_text(file))
    except ValueError as fault:
        findings = tuple(f"{WEIGHTS_NAME}: {line}" for line in str(fault).splitlines())
        raise ModelRefused(f"{WEIGHTS_NAME} cannot be used", findings) from fault


def digest_artefact(artefact: Path) -> str:
    """SHA-256 over the names and contents of the artefact's files, in hexadecimal.

    Raises:
        ModelRefused: a file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in _artefact_files(artefact):
            relative = file.relative_to(artefact).as_posix() if artefact.is_dir() else file.name
            head = f"{relative}\0{file.stat().st_size}\0"
            digest.update(head.encode("utf-8", "surrogateescape"))
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
    except OSError as fault:
        raise ModelRefused(
            "the artefact cannot be read", ("artefact: a file of it cannot be read",)
        ) from fault
    return digest.hexdigest()


def _artefact_files(artefact: Path) -> Iterator[Path]:
    if not artefact.is_dir():
        yield artefact
        return
    yield from (artefact / name for name in _SAVED_MODEL_PARTS if (artefact / name).is_file())
    for folder in _SAVED_MODEL_FOLDERS:
        yield from sorted(path for path in (artefact / folder).rglob("*") if path.is_file())
