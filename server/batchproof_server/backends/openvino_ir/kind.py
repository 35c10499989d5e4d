"""``model.xml`` with ``model.bin``, as ``openvino.save_model`` writes them."""

from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.source import IntermediateSource
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

_FILE: Final = "model.xml"
_WEIGHTS: Final = "model.bin"
# The graph of a model with thousands of layers has some megabytes.
_MAX_GRAPH_BYTES: Final = 256 << 20


def _audit(artefact: Path) -> tuple[Finding, ...]:
    """Looks whether both files are there, and are files."""
    missing = [name for name in (_FILE, _WEIGHTS) if not (artefact / name).is_file()]
    if missing:
        return (found("BP001", missing[0], "is no file"),)
    if (artefact / _FILE).stat().st_size > _MAX_GRAPH_BYTES:
        return (found("BP005", _FILE, f"has more than {_MAX_GRAPH_BYTES} bytes"),)
    return ()


def _open(artefact: Path, settings: EngineSettings) -> IntermediateSource:
    del settings  # threads belong to the engine
    from batchproof_server.backends.openvino.opening import open_model  # noqa: PLC0415 - OpenVINO takes a second to import

    return open_model(artefact, _FILE)


KIND: Final = ArtefactKind(
    name="openvino_ir",
    file=_FILE,
    opens_as=IntermediateSource,
    audit=_audit,
    open=_open,
    module="openvino",
    parts=(_FILE, _WEIGHTS),
    unalterable="a converted model is never altered; repair the .keras file that it came from",
)
