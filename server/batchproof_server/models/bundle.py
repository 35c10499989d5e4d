"""A bundle: a directory with a model artefact and its manifest, read and checked for form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchproof_server.backends import plug_list
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import TooLarge, links_out_of, read_text
from batchproof_server.models.manifest import MANIFEST_NAME, NO_MANIFEST, Manifest, parse_manifest
from batchproof_server.tta.weights import WEIGHTS_NAME, FittedWeights, parse_weights

LABELS_NAME = "labels.txt"
MAX_TEXT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """One model version on disk.

    Attributes:
        kind: of the artefact.
        artefact: the file or, for a SavedModel, the directory.
        labels: one for each class; empty when the bundle names none.
        model_digest: SHA-256 of the artefact, in hexadecimal.
        tta_weights: fitted weights of test-time augmentation, if the bundle has any.
        head_labels: of the other outputs with scores, by name; empty where none are named.
    """

    name: str
    version: int
    kind: ArtefactKind
    artefact: Path
    manifest: Manifest
    labels: tuple[str, ...]
    model_digest: str
    tta_weights: FittedWeights | None = None
    head_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def backend(self) -> str:
        """The name of the artefact's kind, as metadata has it."""
        return self.kind.name


def has_artefact(directory: Path) -> bool:
    """Whether the directory is a bundle, good or bad."""
    kinds = plug_list.artefact_kinds()
    return (directory / MANIFEST_NAME).exists() or any(kind.lies_in(directory) for kind in kinds)


def read_bundle(
    name: str, version: int, directory: Path, kinds: Iterable[ArtefactKind] | None = None
) -> Bundle:
    """Reads manifest and labels and computes the digest; loads nothing.

    Args:
        name: of the model.
        version: of the model.
        directory: of the bundle.
        kinds: of artefacts that it may hold; without them, those of the plug list.

    Raises:
        ModelRefused: there is no artefact, the manifest or the labels have faults, or a file of the
            bundle is a link that leads out of it.
    """
    _check_links(directory)
    kind = _only_kind(directory, tuple(kinds or plug_list.artefact_kinds()))
    artefact = kind.artefact_in(directory)
    manifest_file = directory / MANIFEST_NAME
    manifest = parse_manifest(_text(manifest_file)) if manifest_file.exists() else NO_MANIFEST
    return Bundle(
        name=name,
        version=version,
        kind=kind,
        artefact=artefact,
        manifest=manifest,
        labels=_read_labels(directory, manifest),
        head_labels={
            name: () if head.labels is None else _labels_in(directory / head.labels)
            for name, head in manifest.other_heads.items()
        },
        model_digest=kind.digest(artefact),
        tta_weights=_read_tta_weights(directory),
    )


def _check_links(directory: Path) -> None:
    """A bundle that is copied, signed or compared must hold all that it is made of."""
    if outside := links_out_of(directory):
        raise ModelRefused(
            "a file of the bundle lies outside it",
            tuple(
                f"{name}: is a symbolic link that leads out of the bundle; copy the file into it"
                for name in outside
            ),
        )


def _only_kind(directory: Path, kinds: tuple[ArtefactKind, ...]) -> ArtefactKind:
    found = [kind for kind in kinds if kind.lies_in(directory)]
    if len(found) != 1:
        came = " and ".join(kind.file for kind in found) or "none"
        expected = ", ".join(kind.file for kind in kinds)
        raise ModelRefused(
            "the bundle needs exactly one artefact",
            (f"artefact: found {came}, expected exactly one of {expected}",),
        )
    return found[0]


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
    return _labels_in(file)


def _labels_in(file: Path) -> tuple[str, ...]:
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
