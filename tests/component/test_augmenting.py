"""Augmented requests between decode threads, queue and device."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.errors import DeadlineExceeded, Draining, InvalidInput, QueueFull
from batchproof_server.base.output import RAW_OUTPUT, OutputSettings
from batchproof_server.base.signature import Tensors
from batchproof_server.base.validation import parse_settings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.serving.request import Prediction
from batchproof_server.tta.choice import TtaRequest, choice_of
from batchproof_server.tta.policies import TtaSettings
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench
from support.fakes import FakeClock, PuppetDevice, settle_loop, until
from support.tta_recipes import recipe_of_size

BATCHING = BatchingSettings((2, 4, 8), max_queued_rows=32)
LOGITS = OutputSettings("logits", "scores")
RECIPE = recipe_of_size(4, 4)
# The class scores are the levels of the first pixel, so that every view has other scores.
SETTINGS = AffineSettings((4, 4, 3), "float32", 3, 0.02, 0.0)


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def bench(**keys: Any) -> Any:
    usual: dict[str, Any] = {"batching": BATCHING, "output": LOGITS, "recipe": RECIPE}
    return engine_bench(AffineBackend(SETTINGS, BATCHING.buckets_rows), **usual | keys)


async def ask(
    place: EngineBench, images: Sequence[bytes], tta: TtaRequest | None = None
) -> Prediction:
    return await place.engine.predict_images(place.model, images, NO_HURRY_S, "id", tta=tta)


def bits(prediction: Prediction) -> list[bytes]:
    scores = prediction.scores
    assert scores is not None
    return [each.tobytes() for each in (scores.probabilities, scores.entropy, scores.margin)]


async def test_the_plan_of_the_plain_view_is_the_plain_prediction_bit_for_bit() -> None:
    images = [picture(seed) for seed in range(3)]
    with bench() as place:
        plain = await ask(place, images)
        for asked in (
            TtaRequest(),
            TtaRequest("none"),
            TtaRequest(views=("identity",), aggregation="sharpen(3)", early_exit=0.4),
        ):
            answer = await ask(place, images, asked)
            assert bits(answer) == bits(plain)
            assert answer.outputs["scores"].tobytes() == plain.outputs["scores"].tobytes()
            assert answer.augmentation is not None
            assert [len(result.views) for result in answer.augmentation.results] == [1, 1, 1]
    assert plain.augmentation is None


async def test_two_equal_views_are_the_plain_prediction_to_the_last_digits() -> None:
    with bench() as place:
        plain = await ask(place, [picture()])
        twice = await ask(place, [picture()], TtaRequest(views=("identity", "identity")))
    assert plain.scores is not None
    assert twice.scores is not None
    np.testing.assert_allclose(twice.scores.probabilities, plain.scores.probabilities, rtol=1e-6)


async def test_the_views_of_all_rows_enter_the_queue_at_once_as_rows() -> None:
    with bench() as place:
        answer = await ask(place, [picture(1), picture(2)], TtaRequest("crops"))
    assert [execution.rows for execution in answer.executions] == [8, 4]
    assert sum(batch.rows for batch in place.recorder.batches) == 12


async def test_each_row_is_answered_as_if_it_were_alone() -> None:
    images = [picture(seed) for seed in range(3)]
    asked = TtaRequest("crops", aggregation="logit_mean")
    with bench() as place:
        together = await ask(place, images, asked)
        alone = [await ask(place, [image], asked) for image in images]
    assert together.scores is not None
    for row, single in enumerate(alone):
        assert single.scores is not None
        assert together.scores.probabilities[row].tobytes() == single.scores.probabilities.tobytes()


async def test_the_outputs_of_an_aggregate_have_its_probabilities_as_their_softmax() -> None:
    with bench() as place:
        answer = await ask(place, [picture(), picture(1)], TtaRequest("flip"))
    assert answer.scores is not None
    assert answer.scores.logits is None
    logits = answer.outputs["scores"].astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, answer.scores.probabilities, rtol=1e-5)


async def test_a_sure_row_stops_early_and_the_others_are_as_without_it() -> None:
    images = [picture(seed) for seed in range(8)]
    with bench() as place:
        plain = await ask(place, images)
        full = await ask(place, images, TtaRequest("flip"))
        assert plain.scores is not None
        best = np.sort(plain.scores.probabilities.max(axis=1))
        between = float(best[3] + best[4]) / 2
        place.recorder.events.clear()
        early = await ask(place, images, TtaRequest("flip", early_exit=between))
        await settle_loop()
    assert early.augmentation is not None
    stopped = [result.exited_early for result in early.augmentation.results]
    assert sum(stopped) == 4
    for row, has_stopped in enumerate(stopped):
        expected = plain if has_stopped else full
        assert early.scores is not None
        assert expected.scores is not None
        ours, theirs = early.scores.probabilities[row], expected.scores.probabilities[row]
        assert ours.tobytes() == theirs.tobytes()
    assert sum(batch.rows for batch in place.recorder.batches) == 8 + 4
    record = place.recorder.predictions[-1]
    views = record.augmented
    assert views is not None
    assert (views.policy, views.views, views.early_exits) == ("flip", 12, 4)


async def test_early_exit_needs_no_second_execution_when_all_rows_are_sure() -> None:
    with bench() as place:
        answer = await ask(place, [picture()], TtaRequest("d4", early_exit=0.01))
    assert [execution.rows for execution in answer.executions] == [1]


async def test_an_early_exit_among_the_views_finds_the_plain_view_where_it_stands() -> None:
    views = ("hflip", "rot180", "identity")
    with bench() as place:
        full = await ask(place, [picture(1)], TtaRequest(views=views, aggregation="blend(0.9)"))
        early = await ask(
            place, [picture(1)], TtaRequest(views=views, aggregation="blend(0.9)", early_exit=1.0)
        )
    assert bits(early) == bits(full)


async def test_one_record_tells_of_the_aggregate_once_for_each_row() -> None:
    with bench() as place:
        answer = await ask(place, [picture(), picture(1)], TtaRequest("d4"))
        await ask(place, [picture()])
        await settle_loop()
    told, plain = place.recorder.predictions
    assert answer.scores is not None
    assert told.scores.probabilities.tobytes() == answer.scores.probabilities.tobytes()
    assert told.scores.logits is None
    views = told.augmented
    assert views is not None
    assert (views.policy, views.views, views.early_exits) == ("d4", 16, 0)
    assert views.flip_rate.shape == views.mutual_information.shape == (2,)
    assert plain.augmented is None


async def test_more_views_than_the_request_may_have_are_refused_before_decoding() -> None:
    with (
        bench() as place,
        pytest.raises(InvalidInput, match=r"5 row\(s\) of 8 views are 40, expected at most 32"),
    ):
        await ask(place, [b"no picture"] * 5, TtaRequest("d4"))
    assert place.recorder.decoded == []


async def test_a_full_queue_refuses_all_views_before_decoding() -> None:
    device = PuppetDevice()
    with bench(device=device) as place:
        first = asyncio.ensure_future(ask(place, [picture()] * 4, TtaRequest("d4")))
        await until(lambda: place.waiting_rows == 24)
        with pytest.raises(QueueFull):
            await ask(place, [picture()] * 2, TtaRequest("d4"))
        assert len(place.recorder.decoded) == 4
        first.cancel()
        await asyncio.wait({first})
        assert place.waiting_rows == 0


async def test_a_draining_model_refuses_an_augmented_request() -> None:
    with bench() as place:
        await place.model.batcher.drain()
        with pytest.raises(Draining):
            await ask(place, [picture()], TtaRequest("flip"))


async def test_a_deadline_that_passes_while_views_are_made_sheds_the_request() -> None:
    clock = FakeClock()
    with bench(clock=clock) as place, pytest.raises(DeadlineExceeded):
        await place.engine.predict_images(
            place.model, [picture()], clock.now_s(), tta=TtaRequest("flip")
        )
    assert place.recorder.shed_reasons == ["deadline"]


@pytest.mark.parametrize("asked", [TtaRequest("none"), TtaRequest("flip")])
async def test_a_raw_output_cannot_be_augmented(asked: TtaRequest) -> None:
    with bench(output=RAW_OUTPUT) as place, pytest.raises(InvalidInput, match="is raw"):
        await ask(place, [picture()], asked)


async def test_a_picture_that_the_views_do_not_fit_is_named() -> None:
    fixed = recipe_of_size(9, 7, resize=False)
    settings = replace(SETTINGS, input_shape=(9, 7, 3))
    backend = AffineBackend(settings, BATCHING.buckets_rows)
    with engine_bench(backend, batching=BATCHING, output=LOGITS, recipe=fixed) as place:
        asked = TtaRequest(views=("identity", "rot90"))
        with pytest.raises(InvalidInput, match=r'^view "rot90": the picture is 9 x 7 pixels'):
            await ask(place, [picture()], asked)
        with pytest.raises(InvalidInput, match=r'^image [01]: view "rot90"'):
            await ask(place, [picture(), picture()], replace(asked, early_exit=1.0))


class NanBackend(AffineBackend):
    """Answers NaN in the second row of a micro-batch."""

    def execute(self, inputs: Tensors) -> Tensors:
        """Executes, and spoils."""
        outputs = {name: array.copy() for name, array in super().execute(inputs).items()}
        outputs["scores"][1] = np.nan
        return outputs


async def test_a_view_with_an_answer_that_is_not_finite_is_named() -> None:
    backend = NanBackend(SETTINGS, BATCHING.buckets_rows)
    with (
        engine_bench(backend, batching=BATCHING, output=LOGITS, recipe=RECIPE) as place,
        pytest.raises(InvalidInput, match='for row 0, view "hflip", is not finite'),
    ):
        await ask(place, [picture()], TtaRequest("flip"))


async def test_the_default_policy_of_the_manifest_is_for_requests_that_say_nothing() -> None:
    choice = choice_of(parse_settings(TtaSettings, {"default": "flip"}), None, "", "")
    with bench() as place:
        plain = await ask(place, [picture()])
        flip = await ask(place, [picture()], TtaRequest("flip"))
        loaded = replace(place.model.loaded, tta=choice)
        place.model = replace(place.model, loaded=loaded)
        assert bits(await ask(place, [picture()])) == bits(flip)
        assert bits(await ask(place, [picture()], TtaRequest("none"))) == bits(plain)


async def test_many_values_are_put_together_off_the_loop_with_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [picture(seed) for seed in range(3)]
    with bench() as place:
        on_loop = await ask(place, images, TtaRequest("d4", early_exit=0.9))
        monkeypatch.setattr("batchproof_server.serving.off_loop._QUICK_VALUES", 0)
        off_loop = await ask(place, images, TtaRequest("d4", early_exit=0.9))
    assert bits(on_loop) == bits(off_loop)
