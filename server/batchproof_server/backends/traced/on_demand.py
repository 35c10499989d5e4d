"""What the kinds of TensorFlow have in common before TensorFlow is imported."""

from pathlib import Path

from batchproof_server.imaging.plugs import Plugs
from batchproof_server.proof.findings import Finding


def audit_files(artefact: Path) -> tuple[Finding, ...]:
    """Looks at a ``.keras`` file or a SavedModel directory without loading it."""
    from batchproof_server.proof.artefact.checking import audit_artefact  # noqa: PLC0415 - h5py comes with Keras, and a bare server has none

    return audit_artefact(artefact)


def add_flavour(plugs: Plugs) -> None:
    """TensorFlow decodes and resizes too, since its runtime is there for the model anyway."""
    from batchproof_server.imaging.tensorflow_flavour import register  # noqa: PLC0415 - TensorFlow takes seconds to import

    register(plugs)
