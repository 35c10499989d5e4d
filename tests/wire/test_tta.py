"""Test-time augmentation over a real port."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import aio
from PIL import Image

from batchproof.v1 import prediction_pb2 as pb
from support.bundles_on_disk import LOGITS, RAW, write_bundle
from support.compat_requests import infer, open_inference
from support.running import Running, refused, request, running

INVALID = grpc.StatusCode.INVALID_ARGUMENT
RECIPE = """
[recipe]
[recipe.resize]
library = "pillow"
method = "bilinear"
policy = "stretch"
"""
OWN = """
[tta]
safe_views = ["hflip"]
max_views = 9
default = "mine"
[tta.policies.mine]
views = ["identity", "hflip", "noise(0.05)"]
aggregation = "logit_mean"
"""
SHAPE = (4, 4, 3)


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    """Models of pictures: without a table, with its own policies, with a long queue, and raw."""
    keys: dict[str, Any] = {"shape": SHAPE, "scale": 0.02, "offset": 0.0}
    write_bundle(tmp_path / "plain" / "1", LOGITS + RECIPE, **keys)
    write_bundle(tmp_path / "own" / "1", LOGITS + RECIPE + OWN, **keys)
    roomy = LOGITS.replace("max_queued_rows = 16", "max_queued_rows = 512")
    write_bundle(tmp_path / "roomy" / "1", roomy + RECIPE, **keys)
    write_bundle(tmp_path / "raw" / "1", RAW + RECIPE, **keys)
    async with running(tmp_path) as started:
        yield started


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def asked(*seeds: int, model: str = "plain", tta: Any = None, **options: Any) -> pb.PredictRequest:
    options = {"return_probabilities": True, "tta": tta} | options
    return pb.PredictRequest(
        model=pb.ModelSelector(name=model),
        images=pb.EncodedImages(contents=[picture(seed) for seed in seeds or (0,)]),
        options=pb.PredictOptions(**options),
    )


def augment(policy: str = "", **keys: Any) -> pb.TestTimeAugmentation:
    return pb.TestTimeAugmentation(policy=policy, **keys)


def row_bits(answer: pb.PredictResponse, row: int = 0) -> bytes:
    computed = pb.RowPrediction()
    computed.CopyFrom(answer.rows[row])
    computed.handle = b""  # another one for every answer
    return computed.SerializeToString(deterministic=True)


async def test_an_answer_says_what_was_done_to_its_rows(serving: Running) -> None:
    answer = await serving.stub.Predict(asked(0, 1, tta=augment("flip")))
    for row in answer.rows:
        assert (row.tta.views_executed, row.tta.exited_early) == (2, False)
        assert sum(row.probabilities) == pytest.approx(1)
        assert not row.tta.views
        assert not row.logits
    done = answer.provenance.tta
    assert (done.policy, list(done.views)) == ("flip", ["identity", "hflip"])
    assert (done.aggregation, done.seed, done.weights_digest) == ("mean", 0, "")
    assert not done.HasField("early_exit")
    assert len(done.policy_digest) == 64
    (warning,) = done.warnings
    assert warning.startswith("hflip: may show something else")


async def test_the_views_come_on_request_and_make_the_answer(serving: Running) -> None:
    answer = await serving.stub.Predict(asked(tta=augment("d4", return_views=True)))
    (row,) = answer.rows
    assert [each.view for each in row.tta.views] == list(answer.provenance.tta.views)
    assert [each.weight for each in row.tta.views] == [0.125] * 8
    views = np.array([each.probabilities for each in row.tta.views])
    np.testing.assert_allclose(views.mean(axis=0), row.probabilities, rtol=1e-6)
    best = views.argmax(axis=1)
    assert row.tta.flip_rate == (best != np.argmax(row.probabilities)).mean()
    plain = await serving.stub.Predict(asked())
    np.testing.assert_allclose(views[0], plain.rows[0].probabilities, rtol=1e-6)


async def test_a_plain_request_carries_no_word_of_augmentation(serving: Running) -> None:
    answer = await serving.stub.Predict(asked())
    assert not answer.provenance.HasField("tta")
    assert not answer.rows[0].HasField("tta")


async def test_the_policy_none_is_the_plain_answer_and_has_logits(serving: Running) -> None:
    plain = await serving.stub.Predict(asked(return_logits=True))
    none = await serving.stub.Predict(asked(return_logits=True, tta=augment("none")))
    assert none.rows[0].tta.views_executed == 1
    assert none.provenance.tta.policy == "none"
    none.rows[0].ClearField("tta")
    assert row_bits(none) == row_bits(plain)
    assert none.rows[0].logits


async def test_an_early_exit_stops_the_sure_rows_only(serving: Running) -> None:
    plain = await serving.stub.Predict(asked(*range(6)))
    best = sorted(max(row.probabilities) for row in plain.rows)
    threshold = (best[2] + best[3]) / 2
    tta = augment("flip", early_exit=threshold)
    answer = await serving.stub.Predict(asked(*range(6), tta=tta))
    stopped = [row.tta.exited_early for row in answer.rows]
    assert stopped == [max(row.probabilities) >= threshold for row in plain.rows]
    assert [row.tta.views_executed for row in answer.rows] == [2 - each for each in stopped]
    assert answer.provenance.tta.early_exit == threshold


@pytest.mark.parametrize(
    ("tta", "sentence"),
    [
        (augment("d5"), 'unknown policy "d5", one of none, flip, d4, crops, light'),
        (augment(views=["flop"]), 'unknown view "flop", one of identity, hflip'),
        (augment("flip", aggregation="median"), 'unknown aggregation "median", one of mean'),
        (augment("flip", early_exit=2.0), "early_exit is 2.0, expected above 0 and at most 1"),
        (augment("flip", views=["hflip"]), "policy and views are both given"),
        (augment(views=["hflip"] * 33), "33 views of a row, expected at most 32"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_what_is_known(
    serving: Running, tta: pb.TestTimeAugmentation, sentence: str
) -> None:
    error = await refused(serving, asked(tta=tta))
    assert error.code() is INVALID
    assert (error.details() or "").startswith("options.tta: ")
    assert sentence in (error.details() or "")


async def test_more_rows_times_views_than_the_limit_are_refused(serving: Running) -> None:
    error = await refused(serving, asked(0, 1, 2, tta=augment("d4")))
    assert error.code() is INVALID
    assert "3 row(s) of 8 views are 24, expected at most 16 rows x views" in (error.details() or "")


async def test_tensors_cannot_be_augmented(serving: Running) -> None:
    error = await refused(
        serving, request(np.ones((1, *SHAPE)), model="plain", tta=augment("flip"))
    )
    assert error.code() is INVALID
    assert error.details() == "options.tta: the request has tensors, expected images"


@pytest.mark.parametrize(("model", "tta"), [("plain", augment("flip")), ("own", None)])
async def test_an_aggregate_has_no_logits(serving: Running, model: str, tta: Any) -> None:
    error = await refused(serving, asked(model=model, tta=tta, return_logits=True))
    assert error.code() is INVALID
    assert "options.return_logits" in (error.details() or "")
    assert 'expected options.tta.policy "none"' in (error.details() or "")


async def test_a_raw_model_cannot_be_augmented(serving: Running) -> None:
    raw = asked(model="raw", tta=augment("flip"), return_probabilities=False)
    assert "is raw" in ((await refused(serving, raw)).details() or "")
    described = await serving.stub.GetModel(pb.GetModelRequest(model=raw.model))
    assert not described.tta_policies
    assert not described.HasField("tta_limits")


async def test_get_model_lists_what_may_be_asked_for(serving: Running) -> None:
    described = await serving.stub.GetModel(pb.GetModelRequest(model=pb.ModelSelector(name="own")))
    policies = {policy.name: policy for policy in described.tta_policies}
    assert list(policies) == ["none", "flip", "d4", "crops", "light", "mine"]
    assert described.tta_default_policy == "mine"
    mine = policies["mine"]
    assert list(mine.views) == ["identity", "hflip", "noise(0.05)"]
    assert (mine.aggregation, list(mine.warnings)) == ("logit_mean", [])
    assert "vflip" in policies["d4"].warnings[0]
    limits = described.tta_limits
    assert (limits.max_views, limits.max_request_views, limits.takes_views) == (9, 16, True)


async def test_the_default_policy_is_for_pictures_of_every_protocol(serving: Running) -> None:
    ours = await serving.stub.Predict(asked(model="own"))
    assert ours.provenance.tta.policy == "mine"
    named = await serving.stub.Predict(asked(model="own", tta=augment("mine")))
    assert row_bits(named) == row_bits(ours)
    foreign = infer(np.zeros((1,)), "own", outputs=("probabilities",))
    foreign.inputs[0].datatype = "BYTES"
    del foreign.raw_input_contents[:]
    foreign.inputs[0].contents.bytes_contents.append(picture())
    answer = await open_inference(serving.channel).ModelInfer(foreign)
    theirs = np.frombuffer(answer.raw_output_contents[0], np.float32)
    assert theirs.tobytes() == np.array(ours.rows[0].probabilities, np.float32).tobytes()
    tensors = await serving.stub.Predict(request(np.ones((1, *SHAPE)), model="own"))
    assert not tensors.provenance.HasField("tta")


async def test_a_stream_augments_each_request_by_itself(serving: Running) -> None:
    wanted = {
        "a": asked(tta=augment("d4")),
        "b": asked(1),
        "c": asked(2, tta=augment("d5")),
    }
    call = serving.stub.PredictStream()
    for request_id, each in wanted.items():
        each.request_id = request_id
        await call.write(pb.PredictStreamRequest(request=each))
    await call.done_writing()
    answers = {}
    while (answer := await call.read()) is not aio.EOF:
        answers[answer.request_id] = answer
    alone = await serving.stub.Predict(wanted["a"])
    assert row_bits(answers["a"].response) == row_bits(alone)
    assert not answers["b"].response.provenance.HasField("tta")
    assert 'unknown policy "d5"' in answers["c"].error.message


async def test_an_augmented_answer_is_the_same_bits_whatever_the_company(serving: Running) -> None:
    mine = augment(
        views=["identity", "hflip", "noise(0.1)", "noise(0.1)", "rotate(12)", "jpeg(60)"],
        return_views=True,
        seed=7,
    )
    alone = row_bits(await serving.stub.Predict(asked(5, model="roomy", tta=mine)))
    neighbours = [
        asked(1, model="roomy"),
        asked(2, 3, model="roomy", tta=augment("d4")),
        asked(4, model="roomy", tta=augment("crops", aggregation="vote")),
        asked(5, model="roomy", tta=augment("flip", early_exit=0.5)),
        asked(5, model="roomy", tta=augment("light", seed=8)),
    ]
    for turn in range(8):
        chosen = neighbours[: turn % len(neighbours)] + neighbours[:turn]
        *_, answer = await asyncio.gather(
            *(serving.stub.Predict(each) for each in chosen),
            serving.stub.Predict(asked(6, 5, model="roomy", tta=mine)),
        )
        assert row_bits(answer, 1) == alone


@pytest.mark.parametrize(
    ("table", "finding"),
    [
        ('[tta]\ndefault = "best"\n', "batchproof.toml: tta.default: unknown policy"),
        (
            '[tta.policies.a]\nviews = ["flop"]\n',
            'batchproof.toml: tta.policies.a.views.0: unknown view "flop"',
        ),
        (
            '[tta.policies.a]\nviews = ["identity"]\naggregation = "weighted"\n',
            'tta.policies.a: the aggregation "weighted" needs weights',
        ),
    ],
)
async def test_a_table_with_a_fault_fails_its_version_with_the_finding(
    tmp_path: Path, table: str, finding: str
) -> None:
    write_bundle(tmp_path / "bad" / "1", LOGITS + RECIPE + table, shape=SHAPE)
    async with running(tmp_path) as serving:
        (model,) = (await serving.stub.ListModels(pb.ListModelsRequest())).models
    assert model.state == pb.MODEL_STATE_FAILED
    assert finding in model.findings[0]


async def test_outputs_of_a_foreign_protocol_are_logarithms_of_the_aggregate(
    serving: Running,
) -> None:
    ours = await serving.stub.Predict(asked(model="own"))
    foreign = infer(np.zeros((1,)), "own")
    foreign.inputs[0].datatype = "BYTES"
    del foreign.raw_input_contents[:]
    foreign.inputs[0].contents.bytes_contents.append(picture())
    answer = await open_inference(serving.channel).ModelInfer(foreign)
    logits = np.frombuffer(answer.raw_output_contents[0], np.float32)
    np.testing.assert_allclose(np.exp(logits), ours.rows[0].probabilities, rtol=1e-5)
