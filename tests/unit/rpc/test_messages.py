"""Between messages and values."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import batchproof_client as client
from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import score
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.models.discovery import discover
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionState
from batchproof_server.proof.verdict import Verdict
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.native import messages, models
from batchproof_server.rpc.status import failure_of
from batchproof_server.serving.request import Prediction
from support.bundles_on_disk import write_bundle
from support.engine_bench import engine_bench, recipe_for
from support.fakes import ElementwiseBackend, PuppetDevice, spec
from support.version_life import Life

ROWS = BatchedRows({}, rows=2, bucket_rows=4, queue_delay_s=0.5, execution_s=0.25)


def labelled(model: ServedModel, *labels: str) -> ServedModel:
    bundle = replace(model.loaded.bundle, labels=labels)
    return replace(model, loaded=replace(model.loaded, bundle=bundle))


def served(output: OutputSettings) -> ServedModel:
    backend = ElementwiseBackend(2, 2, 3)
    recipe = recipe_for(2, 2, 3)
    with engine_bench(backend, output=output, recipe=recipe, device=PuppetDevice()) as bench:
        return bench.model


@pytest.mark.parametrize(
    ("message", "selector"),
    [
        (pb.ModelSelector(), ModelSelector("")),
        (pb.ModelSelector(name="m"), ModelSelector("m")),
        (pb.ModelSelector(name="m", version=0), ModelSelector("m", version=0)),
        (pb.ModelSelector(name="m", label=""), ModelSelector("m", label="", key="id")),
    ],
)
async def test_a_selector_keeps_what_was_set(
    message: pb.ModelSelector, selector: ModelSelector
) -> None:
    assert messages.read_selector(message, Call("id", None)) == selector


def test_tensors_are_read_by_name_and_without_a_copy() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    tensors = pb.NamedTensors(tensors={"a": to_proto(array), "b": to_proto(array.T)})
    read = messages.read_tensors(tensors, Call("id", None))
    np.testing.assert_array_equal(read["a"], array)
    np.testing.assert_array_equal(read["b"], array.T)
    assert not read["a"].flags.writeable


def test_a_tensor_that_contradicts_itself_is_named() -> None:
    tensors = pb.NamedTensors(tensors={"x" * 100: pb.Tensor(data_type=99)})  # type: ignore[arg-type] # open enum
    with pytest.raises(InvalidInput, match=r'^input "x{80}\.\.\.": data_type is 99'):
        messages.read_tensors(tensors, Call("id", None))


async def test_scores_become_rows_and_executions_are_told() -> None:
    model = labelled(served(OutputSettings("logits", "y")), "cat", "dog")
    scores = score(np.array([[0.0, 1.0], [3.0, 2.0]]), "logits")
    options = pb.PredictOptions(top_k=1, return_logits=True)
    prediction = Prediction(model, scores, {}, (ROWS, ROWS))
    response = messages.write_prediction(prediction, options, "id")
    assert [[c.label for c in row.classes] for row in response.rows] == [["dog"], ["cat"]]
    assert [list(row.logits) for row in response.rows] == [[0.0, 1.0], [3.0, 2.0]]
    assert response.provenance.recipe_digest == recipe_for(2, 2, 3).digest
    assert (
        list(response.provenance.executions)
        == [pb.Execution(rows=2, bucket_rows=4, queue_delay_s=0.5, execution_s=0.25)] * 2
    )


async def test_every_answer_says_where_it_comes_from_and_nothing_of_others() -> None:
    first = served(OutputSettings("raw"))
    loaded = replace(
        first.loaded,
        bundle=replace(first.loaded.bundle, version=2, model_digest="other"),
        certificate_digest="certified",
    )
    second = replace(first, loaded=loaded)
    for model in (first, second, first, second):
        prediction = Prediction(model, None, {}, (ROWS,))
        assert messages.write_prediction(prediction, pb.PredictOptions(), "id") == (
            pb.PredictResponse(
                request_id="id",
                provenance=pb.Provenance(
                    model="model",
                    version=model.version,
                    model_digest=model.loaded.bundle.model_digest,
                    recipe_digest=recipe_for(2, 2, 3).digest,
                    engine="elementwise 1",
                    certificate_digest=model.loaded.certificate_digest,
                    executions=[
                        pb.Execution(rows=2, bucket_rows=4, queue_delay_s=0.5, execution_s=0.25)
                    ],
                ),
            )
        )
    assert (first.version, second.version) == (1, 2)


async def test_raw_outputs_become_tensors() -> None:
    output = np.arange(4.0).reshape(2, 2)
    prediction = Prediction(served(OutputSettings("raw")), None, {"y": output}, ())
    response = messages.write_prediction(prediction, pb.PredictOptions(), "id")
    assert response.outputs["y"] == to_proto(output)
    assert not response.rows


def test_a_failure_in_a_stream_has_a_code_and_a_time_only_when_trying_again_makes_sense() -> None:
    answer = messages.write_failure(failure_of(InvalidInput("bad"), "id"))
    assert (answer.request_id, answer.error.code, answer.error.message) == ("id", 3, "bad")
    assert not answer.error.HasField("retry_after_s")


def test_every_state_of_a_version_has_its_number(tmp_path: Path) -> None:
    write_bundle(tmp_path / "m" / "1")
    versions = Life(discover(tmp_path)).versions
    (status,) = versions.statuses()
    numbers = {
        models.write_summary(replace(status, state=state), versions).state for state in VersionState
    }
    assert numbers == set(pb.ModelState.values()) - {pb.MODEL_STATE_UNSPECIFIED}


def test_an_open_size_is_written_as_minus_one() -> None:
    assert models._write_spec(spec("x", None, 3)) == pb.TensorSpec(
        name="x", data_type=pb.DATA_TYPE_FLOAT64, shape=[-1, -1, 3]
    )


def test_every_verdict_has_a_value_on_the_wire_and_in_the_client() -> None:
    assert set(models._VERDICTS) == set(get_args(Verdict))
    assert len(set(models._VERDICTS.values())) == len(models._VERDICTS)
    assert pb.VERDICT_UNSPECIFIED not in models._VERDICTS.values()
    assert {each.value for each in client.Verdict} == set(pb.Verdict.values())
