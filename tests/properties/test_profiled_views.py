"""Law: how far views disagree in a profile is, bit for bit, what the server says of its answers."""

import asyncio
from functools import partial
from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.events import PredictionRecord
from batchproof_server.base.output import OutputSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.drift.signals import Signals
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.reference_profile.answering import Answering
from batchproof_server.tta.choice import TtaRequest
from support.asked import Asked, asked
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench
from support.tta_recipes import recipe_of_size

RECIPE = recipe_of_size(4, 4)
OUTPUT = OutputSettings("logits", "scores")
BATCHING = BatchingSettings((2, 4, 8), max_queued_rows=64)
VIEWS = ["identity", "hflip", "rotate(15)", "noise(0.05)", "crop(0.8)", "jpeg(70)"]


def picture(seed: int) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


views = st.lists(st.sampled_from(VIEWS), min_size=2, max_size=6).map(tuple)
in_full = st.builds(
    TtaRequest,
    views=views,
    aggregation=st.sampled_from(["mean", "logit_mean", "vote", "max", "sharpen"]),
    seed=st.integers(0, 3),
)
with_early_exit = st.builds(
    TtaRequest,
    views=st.tuples(views, st.integers(0, 5)).map(lambda at: (*at[0][: at[1]], "identity", *at[0])),
    aggregation=st.sampled_from(["mean", "blend"]),
    early_exit=st.sampled_from([0.35, 0.4, 0.5, 0.6, 1.0]),
)


def profiled(bench: EngineBench, tta: TtaRequest | None, images: list[bytes]) -> Signals:
    loaded = bench.model.loaded
    plan = None if tta is None else loaded.tta.plan(tta)
    pictures = [LabelledPicture("x", 0, partial(bytes, image)) for image in images]

    async def ask(serving: Asked) -> Signals:
        answering = Answering(serving.model, serving.predict, serving.records, plan)
        return await answering.collect_signals(pictures, lambda _done: None)

    with asked(loaded) as serving:
        return asyncio.run(ask(serving))


def served(bench: EngineBench, tta: TtaRequest, images: list[bytes]) -> PredictionRecord:
    async def ask() -> None:
        await bench.engine.predict_images(bench.model, images, NO_HURRY_S, "id", tta=tta)

    asyncio.run(ask())
    (record,) = bench.recorder.predictions
    return record


@given(in_full | with_early_exit, st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_a_profile_holds_what_the_server_answers(tta: TtaRequest, seeds: list[int]) -> None:
    images = [picture(seed) for seed in seeds]
    settings = AffineSettings((4, 4, 3), "float32", 3, 0.005, 0.0)
    backend = AffineBackend(settings, BATCHING.buckets_rows)
    with engine_bench(backend, batching=BATCHING, output=OUTPUT, recipe=RECIPE) as bench:
        found, plain = profiled(bench, tta, images), profiled(bench, None, images)
        record = served(bench, tta, images)
    assert (views := record.augmented) is not None
    assert found.values["tta_flip_rate"].tobytes() == views.flip_rate.tobytes()
    assert found.values["tta_mutual_information"].tobytes() == views.mutual_information.tobytes()
    assert set(found.values) == {*plain.values, "tta_flip_rate", "tta_mutual_information"}
    for name, values in plain.values.items():
        assert found.values[name].tobytes() == values.tobytes()
