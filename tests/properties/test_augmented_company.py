"""Law P11: the augmented answer to a picture is the same bits whatever is co-batched."""

import asyncio
from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.output import OutputSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.serving.request import Prediction
from batchproof_server.tta.choice import TtaRequest
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench
from support.tta_recipes import recipe_of_size

RECIPE = recipe_of_size(4, 4)
OUTPUT = OutputSettings("logits", "scores")
BUCKETS = (2, 4, 8)


def picture(seed: int) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


requests = st.builds(
    TtaRequest,
    views=st.lists(
        st.sampled_from(
            ["identity", "hflip", "rotate(15)", "noise(0.05)", "crop(0.8)", "jpeg(70)"]
        ),
        min_size=1,
        max_size=5,
    ).map(lambda views: ("identity", *views)),
    aggregation=st.sampled_from(["mean", "logit_mean", "vote", "max", "sharpen", "blend"]),
    early_exit=st.sampled_from([None, 0.4, 0.6, 1.0]),
    seed=st.integers(0, 3),
)
neighbours = st.lists(
    st.tuples(st.lists(st.integers(0, 20), min_size=1, max_size=3), requests | st.none()),
    max_size=4,
)


def bits(prediction: Prediction, row: int) -> tuple[bytes, ...]:
    scores, augmentation = prediction.scores, prediction.augmentation
    assert scores is not None
    assert augmentation is not None
    result = augmentation.results[row]
    figures = np.array([result.flip_rate, result.mutual_information, result.confidence_stddev])
    return (
        scores.probabilities[row].tobytes(),
        scores.entropy[row].tobytes(),
        scores.margin[row].tobytes(),
        figures.tobytes(),
        result.view_probabilities.tobytes(),
        prediction.outputs["scores"][row].tobytes(),
    )


async def ask(bench: EngineBench, seeds: list[int], tta: TtaRequest | None) -> Prediction:
    images = [picture(seed) for seed in seeds]
    return await bench.engine.predict_images(bench.model, images, NO_HURRY_S, tta=tta)


@given(requests, st.integers(0, 20), st.lists(st.integers(0, 20), max_size=2), neighbours)
async def test_an_augmented_answer_does_not_depend_on_its_company(
    asked: TtaRequest,
    seed: int,
    beside: list[int],
    others: list[tuple[list[int], TtaRequest | None]],
) -> None:
    settings = AffineSettings((4, 4, 3), "float32", 3, 0.05, -0.3)
    batching = BatchingSettings(BUCKETS, max_queued_rows=512)
    backend = AffineBackend(settings, BUCKETS)
    with engine_bench(backend, batching=batching, output=OUTPUT, recipe=RECIPE) as bench:
        alone = await ask(bench, [seed], asked)
        together, *_ = await asyncio.gather(
            ask(bench, [*beside, seed], asked),
            *(ask(bench, seeds, tta) for seeds, tta in others),
        )
    assert bits(together, len(beside)) == bits(alone, 0)
