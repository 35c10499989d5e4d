"""Models with independent labels, over every protocol."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from batchproof.compat import inference_pb2 as oip
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import AsyncClient, Outcome, OutputKind
from support.bundles_on_disk import PICTURES, picture, write_bundle
from support.compat_requests import content, infer, open_inference, predict, prediction
from support.running import Running, failure, request, running
from wire.test_outcomes import series

# Of the affine bundles: scores = scale * first three elements + offset, clipped to 0 to 1.
HEAD = "format = 1\n[batching]\nbuckets_rows = [2, 4]\nmax_queued_rows = 16\n[output]\n"
TAGS = HEAD + 'kind = "multilabel_probabilities"\nthresholds = [0.5, 0.25, 0.75]\n'
ROWS = ((0.75, 0.5, 0.5, 0), (0.25, 0.125, 0.5, 0), (0.625, 0.375, 0.875, 0))
ANSWERS = [["cat", "dog"], [], ["owl", "cat", "dog"]]


@pytest.fixture
async def tags(tmp_path: Path) -> AsyncIterator[Running]:
    """``tags`` gives its first elements as shares; ``views`` takes pictures and gives log odds."""
    for name, manifest, shape, keys in (
        ("tags", TAGS, (4,), {"scale": 1.0, "offset": 0.0, "clip": True}),
        (
            "views",
            PICTURES.replace('"logits"', '"multilabel_logits"\nthreshold = 0.8'),
            (2, 2, 3),
            {"scale": 0.02, "offset": -2.0},
        ),
    ):
        folder = write_bundle(tmp_path / name / "1", manifest, shape=shape, **keys)
        (folder / "labels.txt").write_text("cat\ndog\nowl\n")
    async with running(tmp_path) as started:
        yield started


async def ask(serving: Running, *rows: object) -> pb.PredictResponse:
    message = request(rows, model="tags", return_probabilities=True)
    response: pb.PredictResponse = await serving.stub.Predict(message)
    return response


async def test_the_answer_is_the_labels_above_their_thresholds_best_first(tags: Running) -> None:
    answer = await ask(tags, *ROWS)
    assert [[each.label for each in row.labels] for row in answer.rows] == ANSWERS
    for row, came in zip(answer.rows, ROWS, strict=True):
        assert list(row.probabilities) == list(came[:3])
        assert [each.score for each in row.classes] == sorted(came[:3], reverse=True)
        distances = np.abs(np.array(came[:3]) - [0.5, 0.25, 0.75])
        assert row.margin == pytest.approx(distances.min())


async def test_the_client_has_the_labels_and_the_thresholds(tags: Running) -> None:
    async with AsyncClient(tags.address) as client:
        known = await client.get_model("tags")
        result = await client.predict({"image": np.array(ROWS, np.float32)}, model="tags")
    assert known.output_kind is OutputKind.MULTILABEL_PROBABILITIES
    assert known.output_kind.is_multi_label
    assert known.thresholds == (0.5, 0.25, 0.75)
    assert [[each.label for each in row.labels] for row in result.rows] == ANSWERS


async def test_open_inference_and_tensorflow_serving_give_the_labels_and_empty_strings_after_them(
    tags: Running,
) -> None:
    stub = open_inference(tags.channel)
    answer = await stub.ModelInfer(infer(ROWS, "tags", outputs=("label", "probabilities")))
    assert list(answer.outputs[0].shape) == [3, 3]
    assert texts(answer.raw_output_contents[0]) == [
        "cat", "dog", "", "", "", "", "owl", "cat", "dog"
    ]  # fmt: skip
    message = predict(content(ROWS), "tags")
    message.output_filter.append("label")
    served = await prediction(tags.channel).Predict(message)
    assert served.outputs["label"].string_val[:3] == [b"cat", b"dog", b""]
    metadata = await stub.ModelMetadata(oip.ModelMetadataRequest(name="tags"))
    assert metadata.properties["output_thresholds"] == "0.5,0.25,0.75"


def texts(raw: bytes) -> list[str]:
    found = []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        found.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    return found


async def test_views_are_aggregated_label_by_label_and_given_back_as_log_odds(
    tags: Running,
) -> None:
    options = pb.PredictOptions(
        return_probabilities=True, tta=pb.TestTimeAugmentation(policy="d4", return_views=True)
    )
    message = pb.PredictRequest(
        model=pb.ModelSelector(name="views"),
        images=pb.EncodedImages(contents=[picture(180)]),
        options=options,
    )
    (row,) = (await tags.stub.Predict(message)).rows
    p = 1 / (1 + np.exp(-(0.02 * 180 - 2)))
    assert list(row.probabilities) == pytest.approx([p] * 3)
    assert [each.label for each in row.labels] == ["cat", "dog", "owl"]
    assert row.tta.flip_rate == 0
    message.images.contents[0] = picture(150)  # 0.73: below 0.8
    (row,) = (await tags.stub.Predict(message)).rows
    assert list(row.labels) == []


async def test_an_outcome_is_the_set_of_all_true_labels(tags: Running) -> None:
    first, second, third = (await ask(tags, *ROWS)).rows
    async with AsyncClient(tags.address) as client:
        results = await client.report_outcomes(
            [
                Outcome(handle=text_of(first.handle), labels=("dog", 0)),
                Outcome(handle=text_of(second.handle), labels=()),
                Outcome(handle=text_of(third.handle), labels=("owl",)),
            ]
        )
    accepted = [each.unwrap() for each in results]
    assert [each.is_correct for each in accepted] == [True, True, False]
    assert [each.predicted_labels for each in accepted] == [
        ("cat", "dog"), (), ("cat", "dog", "owl")
    ]  # fmt: skip
    assert accepted[0].predicted.score == pytest.approx(0.75 * 0.5 * 0.5)
    counted = series(tags, "outcomes_total", model="tags", version="1")
    assert (counted[("true",)], counted[("false",)]) == (2, 1)
    of_class = series(tags, "outcome_classes_total", model="tags", version="1")
    assert {key: count for key, count in of_class.items() if count} == {
        ("00", "true", "cat"): 1, ("01", "true", "dog"): 1, ("02", "true", "owl"): 1
    }  # fmt: skip


def text_of(handle: bytes) -> str:
    from batchproof.handles import handle_to_text  # noqa: PLC0415 - beside its only use

    return handle_to_text(handle)


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        ({"label": "cat"}, "expected label_set: all that are true, perhaps none"),
        ({"class_index": 1}, "expected label_set: all that are true, perhaps none"),
        ({"label_set": pb.LabelSet(labels=["cow"])}, 'has no label "cow"'),
        ({"label_set": pb.LabelSet(class_indices=[3])}, "class_index is 3, expected 0 to 2"),
    ],
)
async def test_an_outcome_of_another_form_is_refused(
    tags: Running, truth: dict[str, object], says: str
) -> None:
    (row,) = (await ask(tags, ROWS[0])).rows
    outcome = pb.Outcome(handle=row.handle, **truth)  # type: ignore[arg-type] # as given
    error = await failure(tags.stub.ReportOutcome(pb.ReportOutcomeRequest(outcomes=[outcome])))
    assert error.code().name == "INVALID_ARGUMENT"
    assert says in str(error.details())


@pytest.mark.parametrize(
    ("manifest", "finding"),
    [
        (TAGS.replace("0.75]", "0.75, 0.5]"), "output.thresholds: 4 for 3 labels"),
        (TAGS.replace("_probabilities", "_logits"), 'expected "multilabel_probabilities"'),
    ],
)
async def test_what_does_not_fit_is_refused(tmp_path: Path, manifest: str, finding: str) -> None:
    write_bundle(tmp_path / "m" / "1", manifest, scale=1.0, offset=0.0, clip=True)
    async with running(tmp_path) as serving:
        (model,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
        assert model.state == pb.MODEL_STATE_FAILED
        assert finding in " ".join(model.findings)
