"""Every method has a kind, and only what says whether a server lives has none."""

import pytest

from batchproof_server.rpc.access import kind_of


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
        ("/nobody.knows/ThisOne", "read"),
        ("/inference.GRPCInferenceService/ServerLive", None),
        ("/grpc.health.v1.Health/Watch", None),
    ],
)
def test_a_method_is_of_one_kind(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind
