"""``[requests] non_finite = "answer"``: rows of NaN are answered, and touch no other row."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import AsyncClient, LocalInputError
from batchproof_server.application.config import Config
from batchproof_server.base.signature import Tensors
from batchproof_server.outcomes.settings import OutcomeSettings
from batchproof_server.proof.settings import ProofSettings
from batchproof_server.serving.request import RequestLimits
from support.bundles_on_disk import LOGITS, PICTURES, RAW, picture, write_bundle
from support.compat_requests import infer, open_inference, outputs_of
from support.fakes import ElementwiseBackend
from support.running import Running, failure, refused, request, running, tensors

pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
GOOD = (1.0, 2.0, 3.0, 4.0)
POISON = (np.nan, 2.0, -np.inf, 4.0)
HUGE = (3e38,) * 4
ANSWER = Config(
    requests=RequestLimits(non_finite="answer"),
    outcomes=OutcomeSettings(accept_request_ids=True),
)


@pytest.fixture
async def answering(tmp_path: Path) -> AsyncIterator[Running]:
    folder = write_bundle(tmp_path / "pets" / "1", LOGITS)
    (folder / "labels.txt").write_text("cat\ndog\nowl\n")
    write_bundle(tmp_path / "raw" / "1", RAW)
    write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(2, 2, 3), scale=2e36)
    async with running(tmp_path, ANSWER) as started:
        yield started


def metrics_of(serving: Running) -> str:
    with urlopen(f"http://127.0.0.1:{serving.server.operations.port}/metrics") as page:
        text: str = page.read().decode()
        return text


def everything(*rows: tuple[float, ...], request_id: str = "") -> pb.PredictRequest:
    asked = request(
        rows, model="pets", request_id=request_id, return_probabilities=True, return_logits=True
    )
    asked.options.top_k = 3
    return asked


async def test_other_rows_keep_every_bit_of_their_answers(answering: Running) -> None:
    (alone,) = (await answering.stub.Predict(everything(GOOD))).rows
    mixed = (await answering.stub.Predict(everything(POISON, GOOD, HUGE))).rows
    alone.handle = mixed[1].handle = b""
    assert mixed[1] == alone


@pytest.mark.parametrize("row", [POISON, HUGE], ids=["NaN comes", "the model overflows"])
async def test_such_a_row_has_no_class_and_its_figures_are_nan(
    answering: Running, row: tuple[float, ...]
) -> None:
    (answer,) = (await answering.stub.Predict(everything(row))).rows
    assert not answer.classes
    assert not answer.handle
    figures = [*answer.probabilities, answer.entropy, answer.margin]
    assert len(figures) == 5
    assert np.isnan(figures).all()
    assert not np.isfinite(answer.logits).all()


async def test_raw_outputs_are_as_the_model_gave_them(answering: Running) -> None:
    response = await answering.stub.Predict(request((POISON, GOOD), model="raw"))
    (output,) = (from_proto(each) for each in response.outputs.values())
    assert np.isnan(output[0]).any()
    assert np.isfinite(output[1]).all()


async def test_the_protocols_of_others_answer_too(answering: Running) -> None:
    array = np.array([POISON, GOOD], np.float32)
    asked = infer(array, "pets", outputs=("scores", "probabilities", "label"))
    got = outputs_of(await open_inference(answering.channel).ModelInfer(asked))
    assert np.isnan(got["scores"][0]).any()
    assert np.isnan(got["probabilities"][0]).all()
    assert np.isfinite([got["scores"][1], got["probabilities"][1]]).all()
    assert got["label"].tolist() == [[b""], [b"owl"]]


async def test_a_client_shows_such_a_row_without_a_class(answering: Running) -> None:
    async with AsyncClient(answering.address) as client:
        result = await client.predict(np.array([POISON, GOOD], np.float32), model="pets")
        lines = result.to_json_lines()
    assert "NaN" not in lines
    assert '"entropy": null' in lines
    with pytest.raises(LocalInputError, match="the model gave NaN to it"):
        result.rows[0].top  # noqa: B018 - it raises
    assert result.rows[1].top.label == "owl"


async def test_nothing_can_be_reported_about_such_a_row(answering: Running) -> None:
    await answering.stub.Predict(everything(POISON, GOOD, request_id="mine"))
    outcomes = [pb.Outcome(request_id="mine", row=row, label="owl") for row in (0, 1)]
    error = await failure(
        answering.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=outcomes[:1]))
    )
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "row 0 was answered with NaN" in (error.details() or "")
    response = await answering.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=outcomes[1:]))
    assert response.results[0].accepted.is_correct
    assert 'reason="no_answer",version="1"} 1.0' in metrics_of(answering)


async def test_a_picture_to_which_the_model_gives_no_number_is_refused(answering: Running) -> None:
    asked = pb.PredictRequest(
        model=pb.ModelSelector(name="pictures"),
        images=pb.EncodedImages(contents=[picture(255)]),
    )
    error = await refused(answering, asked)
    assert "the model's output for row 0 is not finite" in (error.details() or "")


class Leaking(ElementwiseBackend):
    """Adds the mean of all rows."""

    def execute(self, inputs: Tensors) -> Tensors:
        """Answers."""
        return {"y": inputs["x"] + inputs["x"].mean()}


async def test_a_version_whose_proof_failed_goes_on_refusing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "leaking" / "1", RAW)
    config = Config(
        requests=RequestLimits(non_finite="answer"), proof=ProofSettings(allow_unproven=True)
    )
    async with running(tmp_path, config, others={"leaking": Leaking(1)}) as started:
        asked = pb.PredictRequest(tensors=tensors([[np.nan]], "x", "float64"))
        error = await refused(started, asked)
    assert 'input "x" holds NaN or infinity in row 0' in (error.details() or "")
