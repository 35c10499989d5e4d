"""Files ``affine.json``."""

from pathlib import Path
from typing import Final

from batchproof_server.backends.affine.source import AffineSource, open_affine
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.proof.findings import Finding


def _audit(artefact: Path) -> tuple[Finding, ...]:
    """Finds nothing: numbers are checked when they are read, and only the probes judge them."""
    del artefact
    return ()


KIND: Final = ArtefactKind(
    name="affine", file="affine.json", opens_as=AffineSource, audit=_audit, open=open_affine
)
