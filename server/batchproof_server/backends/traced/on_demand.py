"""What the kinds of TensorFlow have in common before TensorFlow is imported."""

from pathlib import Path

from batchproof_server.imaging.plugs import Decoder, Plugs, ResizerMaker
from batchproof_server.proof.findings import Finding


def audit_files(artefact: Path) -> tuple[Finding, ...]:
    """Looks at a ``.keras`` file or a SavedModel directory without loading it."""
    from batchproof_server.proof.artefact.checking import audit_artefact  # noqa: PLC0415 - h5py comes with Keras, and a bare server has none

    return audit_artefact(artefact)


def add_flavour(plugs: Plugs) -> None:
    """TensorFlow decodes and resizes too, for recipes that ask for it."""
    plugs.decoders.register_on_demand("tensorflow-fast", _decoder)
    plugs.resizers.register_on_demand("tensorflow", _resizer)


def _decoder() -> Decoder:
    from batchproof_server.imaging.tensorflow_flavour import TensorFlowDecoder  # noqa: PLC0415 - TensorFlow takes seconds to import

    return TensorFlowDecoder()


def _resizer() -> ResizerMaker:
    from batchproof_server.imaging.tensorflow_flavour import TensorFlowResizer  # noqa: PLC0415 - TensorFlow takes seconds to import

    return TensorFlowResizer
