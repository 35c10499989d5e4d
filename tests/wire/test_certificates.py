"""What callers see of the proof: GetModel, ListModels, each answer, and which buckets answer."""

import json
from pathlib import Path

import grpc
import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.proof.certificate.document import parse_certificate
from batchproof_server.proof.settings import ProofSettings
from support.bundles_on_disk import PICTURES, RAW, picture, write_bundle
from support.proof_backends import Good, Mixing, OddOne
from support.running import failure, running, tensors

ONE = RAW.replace("[2, 4]", "[1, 2, 4]")
GET = pb.GetModelRequest()


def ask(rows: int = 1) -> pb.PredictRequest:
    return pb.PredictRequest(tensors=tensors(np.ones((rows, 3)), "x", "float32"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "model" / "1", ONE)


async def test_the_certificate_is_in_the_model_the_list_and_each_answer(bundle: Path) -> None:
    async with running(bundle, others={"model": Good()}) as server:
        model = await server.stub.GetModel(GET)
        listed = await server.stub.ListModels(pb.ListModelsRequest())
        answer = await server.stub.Predict(ask())
    certificate = parse_certificate(model.certificate_json).certificate
    assert certificate.verdict == "proven"
    assert (certificate.model, certificate.version) == ("model", 1)
    assert certificate.subject.model_digest == model.model_digest
    assert model.consistency == "strict"
    assert model.certificate_digest == certificate.digest
    assert answer.provenance.certificate_digest == certificate.digest
    assert listed.models[0].verdict == pb.VERDICT_PROVEN
    assert list(model.buckets_rows) == [1, 2, 4]


async def test_the_log_tells_the_progress_and_the_verdict(bundle: Path) -> None:
    async with running(bundle, others={"model": Good()}) as server:
        digest = (await server.stub.GetModel(GET)).certificate_digest
    steps = [event for event in server.log.events if event["event"] == "proof"]
    assert [(event["step"], event["done"]) for event in steps] == [
        ("probing", 0),
        ("probing", 18),
        ("comparing roundings", 0),
        ("comparing roundings", 3),
    ]
    ready = [event for event in server.log.events if event.get("state") == "ready"]
    assert ready[0]["certificate_digest"] == digest
    assert (ready[0]["verdict"], ready[0]["consistency"]) == ("proven", "strict")


async def test_strict_pads_a_lone_request_into_the_class_of_the_largest_bucket(
    bundle: Path,
) -> None:
    odd = OddOne()
    async with running(bundle, others={"model": odd}) as server:
        before = len(odd.batches)
        model = await server.stub.GetModel(GET)
        answer = await server.stub.Predict(ask())
        crowd = await server.stub.Predict(ask(4))
        executed = odd.batches[before : before + 2]  # a self-check may come after
    assert list(model.buckets_rows) == [2, 4]
    assert [each.bucket_rows for each in answer.provenance.executions] == [2]
    assert [len(batch) for batch in executed] == [2, 4]
    alone, beside = (from_proto(each.outputs["y"])[0] for each in (answer, crowd))
    assert alone.tobytes() == beside.tobytes()


async def test_tolerant_serves_the_lone_bucket_too(bundle: Path) -> None:
    config = Config(proof=ProofSettings(consistency="tolerant"))
    async with running(bundle, config, others={"model": OddOne()}) as server:
        model = await server.stub.GetModel(GET)
        answer = await server.stub.Predict(ask())
    assert list(model.buckets_rows) == [1, 2, 4]
    assert model.consistency == "tolerant"
    assert json.loads(model.certificate_json)["measured"]["greatest_difference"] > 0
    assert [each.bucket_rows for each in answer.provenance.executions] == [1]


async def test_a_model_that_fails_its_proof_is_refused_with_the_findings(bundle: Path) -> None:
    mixing = Mixing()
    async with running(bundle, others={"model": mixing}) as server:
        error = await failure(server.stub.Predict(ask()))
        model = await server.stub.GetModel(GET)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "BP501 bucket 2" in (error.details() or "")
    assert model.summary.state == pb.MODEL_STATE_FAILED
    assert model.summary.verdict == pb.VERDICT_UNSPECIFIED
    assert all(finding.startswith("BP501") for finding in model.summary.findings)
    assert mixing.is_closed


async def test_a_model_that_fails_its_proof_is_served_when_that_is_allowed(bundle: Path) -> None:
    config = Config(proof=ProofSettings(allow_unproven=True))
    async with running(bundle, config, others={"model": Mixing()}) as server:
        answer = await server.stub.Predict(ask())
        model = await server.stub.GetModel(GET)
    certificate = parse_certificate(model.certificate_json).certificate
    assert certificate.verdict == "unproven"
    assert certificate.failures
    assert answer.provenance.certificate_digest == certificate.digest
    assert model.summary.verdict == pb.VERDICT_UNPROVEN


async def test_samples_of_the_bundle_are_tried_and_bad_ones_are_named(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "model" / "1", PICTURES, shape=(2, 2, 3))
    samples = bundle / "samples"
    (samples / "folder").mkdir(parents=True)
    (samples / ".hidden").write_bytes(b"")
    for number in range(3):
        (samples / f"{number}.png").write_bytes(picture(40 * number))
    (samples / "bad.png").write_bytes(b"no picture")
    async with running(bundle) as server:
        model = await server.stub.GetModel(GET)
    certificate = parse_certificate(model.certificate_json).certificate
    assert certificate.verdict == "proven"
    assert certificate.subject.probe_rows["sample"] == 3
    named = [finding.where for finding in certificate.findings if finding.rule_id == "BP509"]
    assert named == ["samples/bad.png"]


async def test_nothing_of_a_proof_is_shown_before_a_model_is_loaded(bundle: Path) -> None:
    async with running(bundle, load=False) as server:
        model = await server.stub.GetModel(GET)
    assert (model.certificate_json, model.certificate_digest, model.consistency) == ("", "", "")
    assert model.summary.verdict == pb.VERDICT_UNSPECIFIED
