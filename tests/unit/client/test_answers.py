import csv
import json
from typing import cast

import grpc
import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import BatchproofError, ModelState, OutputKind, ServerBusy, ServerFailed
from batchproof_client.conversion import description_of, result_of, summary_of
from batchproof_client.errors import error_of, error_of_number


def test_what_a_newer_server_says_is_read_as_unspecified() -> None:
    summary = pb.ModelSummary(state=cast("pb.ModelState", 99))
    assert summary_of(summary).state is ModelState.UNSPECIFIED
    spec = pb.TensorSpec(name="x", data_type=cast("pb.DataType", 99), shape=[-1])
    model = description_of(pb.GetModelResponse(inputs=[spec]))
    assert model.inputs[0].dtype == "unknown"
    assert model.output_kind is OutputKind.UNSPECIFIED


def test_what_was_not_asked_for_is_none() -> None:
    result = result_of(pb.PredictResponse(rows=[pb.RowPrediction()]))
    assert result.only.probabilities is None
    assert result.only.logits is None
    with pytest.raises(ValueError, match="no classes"):
        _ = result.top


def test_a_raw_result_has_no_row() -> None:
    with pytest.raises(ValueError, match="0 rows"):
        _ = result_of(pb.PredictResponse()).only


@pytest.mark.parametrize(
    "code", [each for each in grpc.StatusCode if each is not grpc.StatusCode.OK]
)
def test_every_code_and_its_number_have_the_same_error(code: grpc.StatusCode) -> None:
    by_code = error_of(code, "text", request_id="r")
    by_number = error_of_number(code.value[0], "text", request_id="r")
    assert type(by_code) is type(by_number)
    assert (str(by_code), by_code.code, by_code.request_id) == ("text", code, "r")


def test_an_unknown_number_is_the_servers_fault() -> None:
    assert type(error_of_number(77, "?", request_id="r")) is ServerFailed


def test_an_error_without_text_names_its_code() -> None:
    error = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "", retry_after_s=2.0)
    assert isinstance(error, ServerBusy)
    assert (str(error), error.retry_after_s) == ("RESOURCE_EXHAUSTED", 2.0)


def test_a_result_is_a_dictionary_lines_of_json_and_csv() -> None:
    classes = [pb.ScoredClass(index=2, label='a "b"', score=0.5), pb.ScoredClass(label="=1+1")]
    rows = [pb.RowPrediction(classes=classes, probabilities=[0.25]), pb.RowPrediction()]
    result = result_of(pb.PredictResponse(request_id="r", rows=rows))
    record = json.loads(json.dumps(result.to_dict()))
    assert record["request_id"] == "r"
    assert record["rows"][0] == json.loads(json.dumps(result.rows[0].to_dict()))
    assert record["rows"][0]["classes"][0] == {"index": 2, "label": 'a "b"', "score": 0.5}
    assert record["rows"][0]["probabilities"] == [0.25]
    first, second = map(json.loads, result.to_json_lines().splitlines())
    assert (first["row"], second["row"], second["classes"]) == (0, 1, [])
    assert first | {"request_id": "r"} == first
    assert list(csv.reader(result.to_csv().splitlines())) == [
        ["row", "rank", "index", "label", "score"],
        ["0", "1", "2", 'a "b"', "0.5"],
        ["0", "2", "0", "'=1+1", "0.0"],
    ]


def test_asking_a_result_for_what_it_has_not_is_an_error_of_the_client() -> None:
    with pytest.raises(BatchproofError):
        _ = result_of(pb.PredictResponse()).top
