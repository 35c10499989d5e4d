"""Pictures of rows that go on after their plain view are decoded once, within a budget of bytes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output import OutputSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.imaging.geometry import Picture
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.plugs import Decoder
from batchproof_server.serving.kept_pictures import KeptPictures
from batchproof_server.serving.off_loop import ByteBudget, DecodingSettings
from batchproof_server.serving.request import Prediction
from batchproof_server.tta.choice import TtaRequest
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench
from support.fakes import PuppetDevice, until
from support.tta_recipes import recipe_of_size

BATCHING = BatchingSettings((2, 4, 8), max_queued_rows=64)
SETTINGS = AffineSettings((4, 4, 3), "float32", 3, 0.02, 0.0)
RECIPE = recipe_of_size(4, 4)
PICTURE_BYTES = 9 * 7 * 4
# No row is sure: all of them see every view.
NEVER_SURE = TtaRequest("d4", early_exit=1.0)
ALWAYS_SURE = TtaRequest("d4", early_exit=0.01)


def picture(seed: int = 0) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@dataclass
class CountingDecoder:
    """Decodes as another does, and counts."""

    real: Decoder
    decoded: list[bytes] = field(default_factory=list)

    def decode(self, encoded: bytes, header: ImageHeader, channels: int) -> Picture:
        """Decodes."""
        self.decoded.append(encoded)
        return self.real.decode(encoded, header, channels)


@contextmanager
def counting_bench(
    device: PuppetDevice | None = None, **decoding: int
) -> Iterator[tuple[EngineBench, CountingDecoder]]:
    decoder = CountingDecoder(RECIPE.decoder)
    with engine_bench(
        AffineBackend(SETTINGS, BATCHING.buckets_rows),
        batching=BATCHING,
        output=OutputSettings("logits", "scores"),
        recipe=replace(RECIPE, decoder=decoder),
        decoding=DecodingSettings(**decoding),
        device=device,
    ) as place:
        yield place, decoder


async def ask(place: EngineBench, images: list[bytes], tta: TtaRequest) -> Prediction:
    return await place.engine.predict_images(place.model, images, NO_HURRY_S, tta=tta)


def bits(prediction: Prediction) -> bytes:
    assert prediction.scores is not None
    return prediction.scores.probabilities.tobytes()


def kept_bytes(place: EngineBench) -> int:
    return place.decoding.kept_budget._used_bytes


@pytest.mark.parametrize("rows", [1, 3])
async def test_a_row_that_is_not_sure_is_decoded_once(rows: int) -> None:
    images = [picture(seed) for seed in range(rows)]
    with counting_bench() as (place, decoder):
        early = await ask(place, images, NEVER_SURE)
        assert sorted(decoder.decoded) == sorted(images)
        assert len(place.recorder.decoded) == rows
        assert bits(early) == bits(await ask(place, images, replace(NEVER_SURE, early_exit=None)))


async def test_a_picture_that_finds_no_room_is_decoded_again_with_the_same_bits() -> None:
    images = [picture(seed) for seed in range(3)]
    with counting_bench(max_kept_bytes=2 * PICTURE_BYTES + 1) as (place, decoder):
        some_kept = await ask(place, images, NEVER_SURE)
        assert len(decoder.decoded) == 3 + 1
        assert kept_bytes(place) == 0
    with counting_bench(max_kept_bytes=0) as (place, decoder):
        none_kept = await ask(place, images, NEVER_SURE)
        assert len(decoder.decoded) == 3 + 3
    assert bits(some_kept) == bits(none_kept)


async def test_pictures_are_kept_while_their_rows_wait_and_no_longer() -> None:
    device = PuppetDevice()
    with counting_bench(device) as (place, _):
        asked = asyncio.ensure_future(ask(place, [picture(), picture(1)], ALWAYS_SURE))
        await until(lambda: device.waiting_jobs == 1)
        assert kept_bytes(place) == 2 * PICTURE_BYTES
        device.run_next()
        await asked
        assert kept_bytes(place) == 0


async def test_a_cancelled_request_keeps_nothing() -> None:
    device = PuppetDevice()
    with counting_bench(device) as (place, _):
        asked = asyncio.ensure_future(ask(place, [picture()], NEVER_SURE))
        await until(lambda: device.waiting_jobs == 1)
        asked.cancel()
        await asyncio.wait({asked})
        assert kept_bytes(place) == 0


async def test_a_request_without_early_exit_keeps_nothing() -> None:
    device = PuppetDevice()
    with counting_bench(device) as (place, _):
        asked = asyncio.ensure_future(ask(place, [picture()], TtaRequest("flip")))
        await until(lambda: device.waiting_jobs == 1)
        assert kept_bytes(place) == 0
        device.run_next()
        await asked


def test_what_comes_after_the_request_is_not_kept() -> None:
    budget = ByteBudget(100)
    with KeptPictures(budget) as kept:
        assert kept.keep(np.zeros((4, 5, 3), np.uint8)) is not None
        assert kept.keep(np.zeros((4, 5, 3), np.uint8)) is None
        assert budget._used_bytes == 60
    assert budget._used_bytes == 0
    assert kept.keep(np.zeros((1, 1, 1), np.uint8)) is None


def test_a_picture_is_given_back_once() -> None:
    budget = ByteBudget(100)
    with KeptPictures(budget) as kept:
        one = kept.keep(np.zeros((4, 5, 3), np.uint8))
        assert one is not None
        assert kept.picture(one).shape == (4, 5, 3)  # type: ignore[union-attr] # it is an array
        assert budget._used_bytes == 60
        kept.drop(one)
        assert budget._used_bytes == 0
        kept.drop(one)
        assert budget._used_bytes == 0


async def test_the_threads_of_many_requests_never_keep_more_than_the_budget() -> None:
    budget = ByteBudget(10 * 12)
    most = []

    def keep_and_drop() -> None:
        for _ in range(200):
            with KeptPictures(budget) as kept:
                for _ in range(5):
                    kept.keep(np.zeros((2, 2, 3), np.uint8))
                most.append(budget._used_bytes)

    threads = [threading.Thread(target=keep_and_drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 120
    assert budget._used_bytes == 0


async def test_a_kept_picture_that_a_view_does_not_fit_is_named_as_any_other() -> None:
    decoder = CountingDecoder(RECIPE.decoder)
    recipe = replace(recipe_of_size(9, 7, resize=False), decoder=decoder)
    backend = AffineBackend(replace(SETTINGS, input_shape=(9, 7, 3)), BATCHING.buckets_rows)
    asked = TtaRequest(views=("identity", "rot90"), early_exit=1.0)
    output = OutputSettings("logits", "scores")
    with engine_bench(backend, batching=BATCHING, output=output, recipe=recipe) as place:
        with pytest.raises(InvalidInput, match=r'^view "rot90": the picture is 9 x 7 pixels'):
            await ask(place, [picture()], asked)
        with pytest.raises(InvalidInput, match=r'^image [01]: view "rot90"'):
            await ask(place, [picture(), picture(1)], asked)
        assert len(decoder.decoded) == 3
        assert kept_bytes(place) == 0
