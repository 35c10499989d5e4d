"""Every method has a kind, and only what says whether a server lives has none."""

import pytest

from batchproof_server.rpc.access import KINDS, OPEN, kind_of
from support.every_method import methods

# Not answered by this server.
UNIMPLEMENTED = {
    *("SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"),
    *("CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister"),
    *("TraceSetting", "LogSettings", "List"),
}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/batchproof.v1.PredictionService/Predict", "predict"),
        ("/batchproof.v1.PredictionService/PredictStream", "predict"),
        ("/batchproof.v1.PredictionService/ListModels", "read"),
        ("/batchproof.v1.PredictionService/ReportOutcome", "report"),
        ("/batchproof.v1.ManagementService/ListVersions", "manage"),
        ("/batchproof.v1.ManagementService/Drain", "manage"),
        ("/inference.GRPCInferenceService/ModelInfer", "predict"),
        ("/inference.GRPCInferenceService/RepositoryIndex", "read"),
        ("/inference.GRPCInferenceService/RepositoryModelLoad", "manage"),
        ("/tensorflow.serving.ModelService/HandleReloadConfigRequest", "manage"),
        ("/tensorflow.serving.PredictionService/Classify", "predict"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "read"),
        ("/batchproof.v1.PredictionService/Diagnose", "predict"),
        ("/nobody.knows/ThisOne", "manage"),
        ("/inference.GRPCInferenceService/ServerLive", None),
        ("/grpc.health.v1.Health/Watch", None),
    ],
)
def test_a_method_is_of_one_kind(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind


def test_every_method_that_is_answered_is_named_in_one_kind() -> None:
    named = sorted(name for names in (*KINDS.values(), OPEN) for name in names)
    answered = {path.rpartition("/")[2] for path in methods()}

    assert named == sorted(set(named))
    assert set(named) - {"HandleReloadConfigRequest"} - answered == set()
    assert answered - set(named) - UNIMPLEMENTED == set()
