"""``model.onnx``, with all its weights inside."""

from pathlib import Path
from typing import Final

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.source import IntermediateSource
from batchproof_server.base.backend import EngineSettings
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

_FILE: Final = "model.onnx"
# The length and the text of the key that a tensor names a file by (onnx.proto: TensorProto,
# external_data). Protocol buffers have no larger message than this either.
_ELSEWHERE: Final = b"\x0a\x08location\x12"
_MAX_BYTES: Final = (2 << 30) - 1
_CHUNK_BYTES: Final = 1 << 20


def _audit(artefact: Path) -> tuple[Finding, ...]:
    """Looks whether weights lie in files that the model names, which may be any file here."""
    if not artefact.is_file():
        return (found("BP001", artefact.name, "is no file"),)
    if artefact.stat().st_size > _MAX_BYTES:
        return (found("BP005", artefact.name, f"has more than {_MAX_BYTES} bytes"),)
    if _names_files(artefact):
        detail = "its tensors name other files; save it with all weights inside"
        return (found("BP206", artefact.name, detail),)
    return ()


def _names_files(artefact: Path) -> bool:
    end = b""
    with artefact.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            if _ELSEWHERE in end + chunk:
                return True
            end = chunk[-len(_ELSEWHERE) :]
    return False


def _open(artefact: Path, settings: EngineSettings) -> IntermediateSource:
    del settings  # threads belong to the engine
    from batchproof_server.backends.openvino.opening import open_model  # noqa: PLC0415 - OpenVINO takes a second to import

    return open_model(artefact, _FILE)


KIND: Final = ArtefactKind(
    name="onnx",
    file=_FILE,
    opens_as=IntermediateSource,
    audit=_audit,
    open=_open,
    module="openvino",
    unalterable="an ONNX model is never altered; repair what it came from, and export that again",
)
