"""Predict over a real port: answers, options and request ids."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from support.bundles_on_disk import picture, write_bundle
from support.running import (
    Running,
    refused,
    request,
    running,
    trailer,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
# softmax(2 x + 1) of the row 1, 2, 3
SOFTMAX = [0.01587624, 0.11731043, 0.86681333]


async def test_tensors_are_answered_with_classes_figures_and_who_answered(serving: Running) -> None:
    answer = await serving.stub.Predict(request(request_id="mine", model="logits"))
    (row,) = answer.rows
    assert [(c.index, c.label) for c in row.classes] == [(2, "owl"), (1, "dog"), (0, "cat")]
    assert [c.score for c in row.classes] == pytest.approx(SOFTMAX[::-1])
    assert row.entropy == pytest.approx(0.4411, abs=1e-4)
    assert row.margin == pytest.approx(SOFTMAX[2] - SOFTMAX[1])
    assert not row.probabilities
    assert not row.logits
    assert not answer.outputs
    assert answer.request_id == "mine"
    who = answer.provenance
    assert (who.model, who.version, len(who.model_digest)) == ("logits", 1, 64)
    assert who.recipe_digest == ""
    assert who.engine.startswith("numpy ")
    (execution,) = who.executions
    assert (execution.rows, execution.bucket_rows) == (1, 1)
    assert execution.queue_delay_s >= 0
    assert execution.execution_s > 0


async def test_a_request_is_recorded_once_with_all_that_is_known_of_it(serving: Running) -> None:
    await serving.stub.Predict(request(np.ones((3, 4)), request_id="mine", model="several"))
    await serving.log.ended(1)
    (record,) = serving.log.requests()
    known = {"method", "request_id", "model", "version", "rows", "code"}
    assert {key: record[key] for key in known} == {
        "method": "Predict",
        "request_id": "mine",
        "model": "several",
        "version": 2,
        "rows": 3,
        "code": "OK",
    }


async def test_a_request_larger_than_the_largest_bucket_is_answered_in_its_order(
    serving: Running,
) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(6, 4)
    answer = await serving.stub.Predict(request(rows, model="raw"))
    assert not answer.rows
    np.testing.assert_array_equal(from_proto(answer.outputs["scores"]), rows[:, :3] * 2 + 1)
    assert [execution.rows for execution in answer.provenance.executions] == [4, 2]


async def test_pictures_go_through_the_recipe_which_is_named(serving: Running) -> None:
    images = pb.EncodedImages(contents=[picture(3), picture(4)])
    answer = await serving.stub.Predict(
        pb.PredictRequest(
            model=pb.ModelSelector(name="pictures"),
            images=images,
            options=pb.PredictOptions(return_logits=True),
        )
    )
    assert [list(row.logits) for row in answer.rows] == [[7.0] * 3, [9.0] * 3]
    assert [c.label for c in answer.rows[0].classes] == ["0", "1", "2"]
    assert len(answer.provenance.recipe_digest) == 64


async def test_reserved_options_are_unimplemented(serving: Running) -> None:
    error = await refused(serving, request(model="logits", diagnosis=pb.Diagnosis(enabled=True)))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "options.diagnosis" in (error.details() or "")


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (
            "probabilities",
            {"return_logits": True},
            'options.return_logits: the output of model "probabilities" is probabilities',
        ),
        ("raw", {"return_logits": True}, 'the output of model "raw" is raw'),
        ("raw", {"return_probabilities": True}, 'model "raw" is raw, it has no classes'),
        ("raw", {"top_k": 1}, 'model "raw" is raw, it has no classes'),
    ],
)
async def test_options_that_the_output_cannot_serve_are_refused(
    serving: Running, model: str, options: dict[str, Any], sentence: str
) -> None:
    error = await refused(serving, request(model=model, **options))
    assert error.code() is INVALID
    assert sentence in (error.details() or "")


@pytest.mark.parametrize(("top_k", "named"), [(0, 0), (2, 2), (99, 3), (None, 3)])
async def test_top_k_names_that_many_classes_at_most(
    serving: Running, top_k: int | None, named: int
) -> None:
    options: dict[str, Any] = {} if top_k is None else {"top_k": top_k}
    answer = await serving.stub.Predict(request(model="logits", **options))
    assert len(answer.rows[0].classes) == named


async def test_five_classes_are_named_by_default(tmp_path: Path) -> None:
    write_bundle(tmp_path / "wide" / "1", shape=(9,), classes=9)
    async with running(tmp_path) as serving:
        answer = await serving.stub.Predict(request([list(range(9))]))
    assert [c.index for c in answer.rows[0].classes] == [8, 7, 6, 5, 4]


async def test_probabilities_and_logits_come_on_request(serving: Running) -> None:
    answer = await serving.stub.Predict(
        request(model="logits", return_probabilities=True, return_logits=True)
    )
    assert list(answer.rows[0].probabilities) == pytest.approx(SOFTMAX)
    assert list(answer.rows[0].logits) == [3.0, 5.0, 7.0]
    answer = await serving.stub.Predict(request(model="probabilities", return_probabilities=True))
    assert list(answer.rows[0].probabilities) == [0.5, 0.5]
    assert answer.rows[0].margin == 0.0


async def test_a_request_id_is_taken_from_the_message_then_the_metadata_or_else_made(
    serving: Running,
) -> None:
    metadata = (("x-request-id", "from-metadata"),)
    answer = await serving.stub.Predict(request(request_id="own", model="raw"), metadata=metadata)
    assert answer.request_id == "own"
    answer = await serving.stub.Predict(request(model="raw"), metadata=metadata)
    assert answer.request_id == "from-metadata"
    answer = await serving.stub.Predict(request(model="raw"))
    assert len(answer.request_id) == 32
    await serving.log.ended(3)
    assert serving.log.requests()[2]["request_id"] == answer.request_id


@pytest.mark.parametrize("request_id", ["x" * 129, "line\nbreak", "böse", "\x7f"])
async def test_a_request_id_that_cannot_be_echoed_is_refused_and_replaced(
    serving: Running, request_id: str
) -> None:
    error = await refused(serving, request(request_id=request_id, model="raw"))
    assert error.code() is INVALID
    assert "printable ASCII" in (error.details() or "")
    assert len(trailer(error)["x-request-id"]) == 32
    assert await serving.log.ended(1) == ["INVALID_ARGUMENT"]
