"""Models with one value for two classes, over every protocol."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from batchproof.compat import inference_pb2 as oip
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import AsyncClient, OutputKind
from support.bundles_on_disk import PICTURES, picture, write_bundle
from support.compat_requests import content, infer, open_inference, predict, prediction, scores
from support.running import Running, failure, request, running
from wire.test_outcomes import series

# Of the affine bundles: scores = scale * first element + offset.
ROWS = ((2.0, 0, 0, 0), (-1.0, 0, 0, 0), (0.0, 0, 0, 0))
LOGIT = '[output]\nkind = "binary_logit"\n'
PROBABILITY = '[output]\nkind = "binary_probability"\n'
HEAD = "format = 1\n[batching]\nbuckets_rows = [2, 4]\nmax_queued_rows = 16\n"


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Running]:
    """``logit`` gives twice the first element, ``share`` half of it; ``views`` takes pictures."""
    for name, kind, scale in (("logit", LOGIT, 2.0), ("share", PROBABILITY, 0.5)):
        folder = write_bundle(
            tmp_path / name / "1",
            HEAD + kind,
            classes=1,
            scale=scale,
            offset=0.0,
            clip=name == "share",
        )
        (folder / "labels.txt").write_text("boot\nshoe\n")
    manifest = PICTURES.replace('"logits"', '"binary_logit"')
    write_bundle(
        tmp_path / "views" / "1", manifest, shape=(2, 2, 3), classes=1, scale=0.02, offset=-2.0
    )
    async with running(tmp_path) as started:
        yield started


def sigmoid(z: float) -> float:
    return float(1 / (1 + np.exp(-z)))


async def ask(serving: Running, model: str, *rows: object) -> pb.PredictResponse:
    message = request(rows, model=model, return_probabilities=True)
    response: pb.PredictResponse = await serving.stub.Predict(message)
    return response


async def test_a_logit_is_answered_as_two_classes_with_their_labels(both: Running) -> None:
    answer = await ask(both, "logit", *ROWS)
    best = [(row.classes[0].label, row.classes[0].index) for row in answer.rows]
    assert best == [("shoe", 1), ("boot", 0), ("boot", 0)]
    for row, (value, *_) in zip(answer.rows, ROWS, strict=True):
        p = sigmoid(2 * value)
        assert list(row.probabilities) == pytest.approx([1 - p, p])
        assert [each.score for each in row.classes] == pytest.approx([max(p, 1 - p), min(p, 1 - p)])
        assert row.margin == pytest.approx(abs(2 * p - 1))
        entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
        assert row.entropy == pytest.approx(entropy)


async def test_its_logits_are_zero_and_the_models_own(both: Running) -> None:
    message = request(ROWS[:1], model="logit", return_logits=True)
    (row,) = (await both.stub.Predict(message)).rows
    assert list(row.logits) == [0.0, 4.0]


async def test_a_probability_is_answered_as_two_classes(both: Running) -> None:
    answer = await ask(both, "share", (1.5, 0, 0, 0), (0.5, 0, 0, 0))
    assert [list(row.probabilities) for row in answer.rows] == [[0.25, 0.75], [0.75, 0.25]]
    assert [row.classes[0].label for row in answer.rows] == ["shoe", "boot"]


async def test_the_model_says_what_its_output_is(both: Running) -> None:
    for model, kind in (
        ("logit", pb.OUTPUT_KIND_BINARY_LOGIT),
        ("share", pb.OUTPUT_KIND_BINARY_PROBABILITY),
    ):
        known = await both.stub.GetModel(pb.GetModelRequest(model=pb.ModelSelector(name=model)))
        assert (known.output_kind, list(known.labels)) == (kind, ["boot", "shoe"])
        assert [list(spec.shape) for spec in known.outputs] == [[-1, 1]]


async def test_open_inference_gives_the_models_own_value_and_what_is_asked_for_by_name(
    both: Running,
) -> None:
    stub = open_inference(both.channel)
    names = ("scores", "probabilities", "label")
    answer = await stub.ModelInfer(infer(ROWS[:2], "logit", outputs=names))
    own, probabilities, label = answer.raw_output_contents
    assert np.frombuffer(own, np.float32).tolist() == [4.0, -2.0]
    assert list(answer.outputs[0].shape) == [2, 1]
    assert np.frombuffer(probabilities, np.float32)[1::2].tolist() == pytest.approx(
        [sigmoid(4), sigmoid(-2)]
    )
    assert (label[4:8], label[12:]) == (b"shoe", b"boot")


async def test_a_classification_names_both_classes_with_their_probabilities(
    both: Running,
) -> None:
    message = infer(ROWS[:1], "logit", outputs=("scores",))
    message.outputs[0].parameters["classification"].int64_param = 2
    answer = await open_inference(both.channel).ModelInfer(message)
    assert b"0.982014:1:shoe" in answer.raw_output_contents[0]
    assert b"0.017986:0:boot" in answer.raw_output_contents[0]


async def test_tensorflow_serving_gives_the_models_own_value(both: Running) -> None:
    answer = await prediction(both.channel).Predict(predict(content(ROWS[:2]), "logit"))
    assert scores(answer).tolist() == [[4.0], [-2.0]]


async def test_views_are_aggregated_as_two_classes_and_given_back_as_one_logit(
    both: Running,
) -> None:
    message = pb.PredictRequest(
        model=pb.ModelSelector(name="views"),
        images=pb.EncodedImages(contents=[picture(150)]),
        options=pb.PredictOptions(
            return_probabilities=True, tta=pb.TestTimeAugmentation(policy="d4", return_views=True)
        ),
    )
    (row,) = (await both.stub.Predict(message)).rows
    p = sigmoid(0.02 * 150 - 2.0)
    assert list(row.probabilities) == pytest.approx([1 - p, p])
    assert row.tta.flip_rate == 0
    assert [len(view.probabilities) for view in row.tta.views] == [2] * row.tta.views_executed


async def test_outcomes_count_against_the_answered_class(both: Running) -> None:
    answer = await ask(both, "logit", *ROWS[:2])
    outcomes = [pb.Outcome(handle=row.handle, label="shoe") for row in answer.rows]
    response = await both.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=outcomes))
    assert [each.accepted.is_correct for each in response.results] == [True, False]
    by_class = series(both, "outcome_classes_total", model="logit", version="1", label="shoe")
    assert by_class == {("01", "false"): 1, ("01", "true"): 1}


@pytest.mark.parametrize(
    ("manifest", "keys", "says"),
    [
        (HEAD + '[output]\nkind = "logits"\n', {"classes": 1}, "of one class, which every picture"),
        (HEAD + '[output]\nkind = "probabilities"\n', {"classes": 1}, 'expected "binary_logit"'),
        (HEAD + LOGIT, {"classes": 3}, "needs floats [rows, 1] or [rows], the output is float32"),
        (HEAD + PROBABILITY, {"classes": 1, "offset": 1.5}, "a row is below 0 or above 1"),
    ],
)
async def test_a_kind_that_does_not_fit_the_output_is_refused_with_the_mend(
    tmp_path: Path, manifest: str, keys: dict[str, object], says: str
) -> None:
    write_bundle(tmp_path / "m" / "1", manifest, **keys)  # type: ignore[arg-type] # no shape
    async with running(tmp_path) as serving:
        (model,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        assert model.state == pb.MODEL_STATE_FAILED
        assert any(says in finding for finding in model.findings), model.findings


async def test_labels_of_a_binary_model_are_two(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "m" / "1", HEAD + LOGIT, classes=1)
    (folder / "labels.txt").write_text("shoe\n")
    async with running(tmp_path) as serving:
        (model,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        assert list(model.findings) == ["labels: 1 for 2 classes"]


@pytest.fixture
async def careful(tmp_path: Path) -> AsyncIterator[Running]:
    """``careful`` says shoe only above 0.9; its rows are pictures of one grey."""
    manifest = PICTURES.replace('"logits"', '"binary_logit"\nthreshold = 0.9')
    folder = write_bundle(
        tmp_path / "careful" / "1", manifest, shape=(2, 2, 3), classes=1, scale=0.02, offset=-2.0
    )
    (folder / "labels.txt").write_text("boot\nshoe\n")
    async with running(tmp_path) as started:
        yield started


def of_picture(level: int, **tta: object) -> pb.PredictRequest:
    options = pb.PredictOptions(return_probabilities=True)
    if tta:
        options.tta.MergeFrom(pb.TestTimeAugmentation(**tta))  # type: ignore[arg-type] # as given
    return pb.PredictRequest(images=pb.EncodedImages(contents=[picture(level)]), options=options)


# 0.02 * 160 - 2 is a logit of 1.2, a probability of 0.77; that of 240 is 0.94.
@pytest.mark.parametrize("tta", [{}, {"policy": "flip"}, {"policy": "flip", "early_exit": 0.5}])
async def test_above_the_threshold_and_only_there_the_answer_is_the_second_class(
    careful: Running, tta: dict[str, object]
) -> None:
    (below,) = (await careful.stub.Predict(of_picture(160, **tta))).rows
    (above,) = (await careful.stub.Predict(of_picture(240, **tta))).rows
    assert [each.label for each in below.classes] == ["boot", "shoe"]
    assert [each.score for each in below.classes] == pytest.approx([0.2315, 0.7685], abs=1e-4)
    assert [each.label for each in above.classes] == ["shoe", "boot"]
    assert below.tta.flip_rate == above.tta.flip_rate == 0
    assert not below.tta.exited_early  # 0.23 is not sure, whatever the other class has
    assert above.tta.exited_early == ("early_exit" in tta)


async def test_outcomes_and_labels_go_by_the_threshold(careful: Running) -> None:
    (row,) = (await careful.stub.Predict(of_picture(160))).rows
    outcome = pb.Outcome(handle=row.handle, label="shoe")
    response = await careful.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=[outcome]))
    accepted = response.results[0].accepted
    assert (accepted.is_correct, accepted.predicted.label) == (False, "boot")
    assert accepted.predicted.score == pytest.approx(0.2315, abs=1e-4)


async def test_votes_are_refused_where_a_threshold_decides(careful: Running) -> None:
    error = await failure(careful.stub.Predict(of_picture(160, policy="flip", aggregation="vote")))
    assert error.code().name == "INVALID_ARGUMENT"
    assert 'the aggregation "vote" counts views, and the model decides at 0.9' in str(
        error.details()
    )


async def test_a_policy_that_votes_is_refused_with_the_model(tmp_path: Path) -> None:
    policies = '[tta.policies.crowd]\nviews = ["identity", "hflip"]\naggregation = "vote"\n'
    manifest = PICTURES.replace('"logits"', '"binary_logit"\nthreshold = 0.9') + policies
    write_bundle(tmp_path / "m" / "1", manifest, shape=(2, 2, 3), classes=1)
    async with running(tmp_path) as serving:
        (model,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        assert model.state == pb.MODEL_STATE_FAILED
        assert "counts views" in model.findings[0]


async def test_the_threshold_is_told_over_each_protocol_that_describes_models(
    careful: Running, both: Running
) -> None:
    async with AsyncClient(careful.address) as client:
        known = await client.get_model("careful")
    assert (known.output_kind, known.threshold) == (OutputKind.BINARY_LOGIT, 0.9)
    async with AsyncClient(both.address) as client:
        assert (await client.get_model("share")).threshold is None
    asked = oip.ModelMetadataRequest(name="careful")
    properties = (await open_inference(careful.channel).ModelMetadata(asked)).properties
    assert (properties["output_kind"], properties["output_threshold"]) == ("binary_logit", "0.9")
