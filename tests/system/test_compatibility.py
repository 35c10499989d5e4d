"""A server of this version serves what version 0.1.0 wrote, and answers as it did."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from system.process import Record, started

WRITTEN = Path(__file__).resolve().parents[1] / "data" / "0.1.0"
MODELS = ("affine", "keras", "saved-model")
VERSIONS = {"affine": 1, "keras": 3, "saved-model": 2}
REQUESTS = sorted(file.name.partition(".")[0] for file in (WRITTEN / "wire").glob("*.request.bin"))
# Another processor or TensorFlow may round otherwise.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Served:
    """A server of the old files.

    Attributes:
        stub: the service.
        proofs: what it logged of proofs, by model.
    """

    stub: Any
    proofs: dict[str, list[Record]]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with started(WRITTEN / "models") as server:
        server.wait_serving()
        records = server.records("proof")
        proofs = {name: [each for each in records if each["model"] == name] for name in MODELS}
        with grpc.insecure_channel(server.grpc) as channel:
            yield Served(pb_grpc.PredictionServiceStub(channel), proofs)


def known(served: Served, model: str) -> Any:
    """What ``GetModel`` says."""
    return served.stub.GetModel(pb.GetModelRequest(model=pb.ModelSelector(name=model)))


def read(file: str, kind: Any) -> Any:
    return kind.FromString((WRITTEN / "wire" / file).read_bytes())


@pytest.mark.parametrize("model", MODELS)
def test_a_bundle_is_served_as_proven_with_its_profile(served: Served, model: str) -> None:
    answer = known(served, model)
    version = VERSIONS[model]
    profile = json.loads((WRITTEN / "models" / model / str(version) / "profile.json").read_text())

    assert (answer.summary.version, answer.summary.verdict) == (version, pb.VERDICT_PROVEN)
    assert json.loads(answer.profile_json)["model_digest"] == profile["model_digest"]
    assert answer.profile_digest


@pytest.mark.parametrize("model", MODELS)
def test_the_certificate_of_a_bundle_is_put_aside_and_the_model_proven_anew(
    served: Served, model: str
) -> None:
    told = [(each["step"], each.get("detail", "")) for each in served.proofs[model]]
    ignored = [detail for step, detail in told if step == "certificate ignored"]

    assert len(ignored) == 1
    assert ignored[0].startswith("certificate.json: it lies in the bundle")
    assert "probing" in dict(told)


def test_fitted_weights_and_the_policies_of_the_manifest_are_offered(served: Served) -> None:
    policies = {policy.name for policy in known(served, "keras").tta_policies}

    assert {"none", "flip", "d4", "crops", "light", "tilt", "fitted"} <= policies
    weighted = read("keras-tta.request.bin", pb.PredictRequest)
    weighted.options.tta.Clear()
    weighted.options.tta.MergeFrom(pb.TestTimeAugmentation(policy="flip", aggregation="weighted"))
    assert served.stub.Predict(weighted).provenance.tta.weights_digest


@pytest.mark.parametrize("name", REQUESTS)
def test_an_old_request_gets_the_scores_it_got(served: Served, name: str) -> None:
    before = read(f"{name}.response.bin", pb.PredictResponse)
    answer = served.stub.Predict(read(f"{name}.request.bin", pb.PredictRequest))

    assert answer.request_id == before.request_id
    assert answer.provenance.model_digest == before.provenance.model_digest
    assert answer.provenance.recipe_digest == before.provenance.recipe_digest
    assert len(answer.rows) == len(before.rows)
    for row, old in zip(answer.rows, before.rows, strict=True):
        assert [each.label for each in row.classes][:1] == [old.classes[0].label]
        assert list(row.probabilities) == pytest.approx(list(old.probabilities), abs=TOLERANCE)
        assert list(row.logits) == pytest.approx(list(old.logits), rel=TOLERANCE, abs=TOLERANCE)
        assert (row.entropy, row.margin) == pytest.approx((old.entropy, old.margin), abs=1e-4)
        assert row.tta.views_executed == old.tta.views_executed


@pytest.mark.parametrize("name", [name for name in REQUESTS if name.startswith("affine")])
def test_exact_arithmetic_gives_the_same_bits(served: Served, name: str) -> None:
    before = read(f"{name}.response.bin", pb.PredictResponse)
    answer = served.stub.Predict(read(f"{name}.request.bin", pb.PredictRequest))

    assert [list(row.logits) for row in answer.rows] == [list(row.logits) for row in before.rows]
