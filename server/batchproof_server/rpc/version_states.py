"""The states of versions, in the words of every protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.models.version_states import VersionState


@dataclass(frozen=True, slots=True)
class StateNames:
    """One state.

    Attributes:
        native: of ``batchproof.v1``, which knows four.
        open_inference: of the repository index of the Open Inference Protocol, as Triton says it.
        tensorflow_serving: of ``GetModelStatus``.
        reason: why a version does not answer, where its findings do not say so.
    """

    native: pb.ModelState
    open_inference: str
    tensorflow_serving: tfs.ModelVersionStatus.State
    reason: str = ""


_TFS = tfs.ModelVersionStatus
# By what a caller is to do: who is told LOADING tries again, who is told DRAINING goes elsewhere,
# who is told FAILED reads the findings.
STATE_NAMES: Final[Mapping[VersionState, StateNames]] = {
    VersionState.DISCOVERED: StateNames(pb.MODEL_STATE_LOADING, "LOADING", _TFS.LOADING),
    VersionState.LOADING: StateNames(pb.MODEL_STATE_LOADING, "LOADING", _TFS.LOADING),
    VersionState.READY: StateNames(pb.MODEL_STATE_READY, "READY", _TFS.AVAILABLE),
    VersionState.STUCK: StateNames(
        pb.MODEL_STATE_LOADING, "UNAVAILABLE", _TFS.LOADING, "it cannot answer"
    ),
    VersionState.DRAINING: StateNames(pb.MODEL_STATE_DRAINING, "UNLOADING", _TFS.UNLOADING),
    VersionState.UNLOADED: StateNames(pb.MODEL_STATE_DRAINING, "UNAVAILABLE", _TFS.END, "unloaded"),
    VersionState.FAILED: StateNames(pb.MODEL_STATE_FAILED, "UNAVAILABLE", _TFS.END),
}
