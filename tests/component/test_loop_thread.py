"""The loop thread touches no pixel, and no rows, scores or messages of a large request."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from PIL import Image

import batchproof_server
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.output import OutputSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.rpc.native.messages import write_prediction
from batchproof_server.serving.request import Prediction
from batchproof_server.tta.choice import TtaRequest
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench
from support.tta_recipes import recipe_of_size

HOME = Path(batchproof_server.__file__).parent
BATCHING = BatchingSettings((2, 4, 8), max_queued_rows=256)
OUTPUT = OutputSettings("logits", "scores")

# Where pixels are decoded and changed, and where views become rows.
PIXELS = ("imaging", "tta/expansion", "tta/noise", "tta/original", "tta/pixels", "tta/rotation")
# Where scores are made of what the model answers, and messages of those.
SCORES = (
    "tta/combining",
    "base/scores",
    "tta/aggregation",
    "tta/result",
    "rpc/native/messages",
)
ROWS = (
    "base/signature.check_finite",
    "base/signature._check_one",
    "devices/assembly.assemble",
    "devices/assembly.split",
    "devices/assembly._joined",
    "devices/thread._execute",
    "backends",
)
# These look at declarations and sizes.
ALLOWED = {
    "tta/combining.without_plain",
    "backends/numpy/engine.engine",
    "backends/numpy/engine.signature",
    "base/backend.signature",
    "imaging/geometry.picture_bytes",
    "imaging/geometry.picture_size",
    "imaging/geometry.pixels",
    "imaging/geometry.framing",
    "imaging/geometry.size",
    "imaging/geometry.whole",
    "imaging/recipe.rows_bytes",
    "tta/aggregation.text",
}
# What work on a picture will take, known from its size.
COUNTS_BYTES = "imaging/working_memory."


def _name(frame: FrameType) -> str | None:
    """Module and function, of the server's own."""
    file, function = Path(frame.f_code.co_filename), frame.f_code.co_name
    if not file.is_relative_to(HOME) or function.startswith("<"):
        return None
    return f"{file.relative_to(HOME).with_suffix('')}.{function}"


class LoopCalls:
    """What was called on the thread that made this."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Remembers the functions of the server, and what those call of numpy."""
        del argument
        name, caller = _name(frame), frame.f_back
        if event != "call":
            return
        if name is not None:
            self.names.add(name)
        elif "numpy" in frame.f_code.co_filename and caller is not None and _name(caller):
            self.names.add(f"{_name(caller)} > {frame.f_code.co_name}")

    def of(self, *places: str) -> set[str]:
        """Those in some modules or packages, but for what is allowed."""
        found = {name for name in self.names if name.startswith(places)}
        return {name for name in found - ALLOWED if not name.startswith(COUNTS_BYTES)}


@contextmanager
def loop_calls() -> Iterator[LoopCalls]:
    calls = LoopCalls()
    sys.setprofile(calls)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@contextmanager
def bench(side: int = 4) -> Iterator[EngineBench]:
    backend = AffineBackend(
        AffineSettings((side, side, 3), "float32", 3, 0.02, 0.0), BATCHING.buckets_rows
    )
    recipe = recipe_of_size(side, side)
    with engine_bench(backend, batching=BATCHING, output=OUTPUT, recipe=recipe) as place:
        yield place


def pictures(rows: int) -> list[bytes]:
    encoded = []
    for seed in range(rows):
        file = BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


async def answered(place: EngineBench, rows: int, tta: TtaRequest | None) -> Prediction:
    """As the service does it, with every view in the answer."""
    images = pictures(rows)
    prediction = await place.engine.predict_images(place.model, images, NO_HURRY_S, tta=tta)
    options = pb.PredictOptions(tta=pb.TestTimeAugmentation(return_views=True))
    written = await place.engine.write(
        prediction, partial(write_prediction, prediction, options, "id")
    )
    assert len(written.rows) == rows
    return prediction


MIXED = TtaRequest(
    views=("identity", "hflip", "rotate(10)", "noise(0.1)", "shift(0.1,0)", "contrast(0.8)")
)


@pytest.mark.parametrize("rows", [1, 12])
@pytest.mark.parametrize(
    "tta",
    [None, TtaRequest("none"), TtaRequest("d4"), TtaRequest("d4", early_exit=1.0), MIXED],
    ids=["silent", "none", "d4", "early", "mixed"],
)
async def test_no_pixel_is_touched_on_the_loop_thread(rows: int, tta: TtaRequest | None) -> None:
    with bench() as place, loop_calls() as calls:
        await answered(place, rows, tta)
    assert "serving/predictor.predict" in calls.names
    assert calls.of(*PIXELS) == set()
    assert calls.of(*ROWS) == set()


@pytest.mark.parametrize(
    "tta",
    [None, TtaRequest("none"), TtaRequest("d4"), TtaRequest("d4", early_exit=1.0), MIXED],
    ids=["silent", "none", "d4", "early", "mixed"],
)
async def test_many_rows_are_scored_and_written_off_the_loop_thread(tta: TtaRequest | None) -> None:
    with bench() as place, loop_calls() as calls:
        await answered(place, 12, tta)
    assert calls.of(*SCORES) == set()


async def test_large_rows_are_stacked_off_the_loop_thread() -> None:
    with bench(side=250) as place:
        for tta in (None, TtaRequest("flip")):
            with loop_calls() as calls:
                await answered(place, 2, tta)
            assert calls.of("picture_intake.stacked_rows", "submission.stacked") == set()
            shells = calls.of("engine", "picture_intake", "augmenting", "submission")
            assert {name for name in shells if " > " in name} == set()


async def test_large_tensors_are_looked_at_off_the_loop_thread() -> None:
    tensors = {"image": np.zeros((8, 200, 200, 3), np.float32)}
    with bench(side=200) as place, loop_calls() as calls:
        await place.engine.predict_tensors(place.model, tensors, NO_HURRY_S)
    assert calls.of(*ROWS) == set()


async def test_the_loop_thread_is_what_is_watched() -> None:
    with bench() as place, loop_calls() as calls:
        await answered(place, 1, TtaRequest("d4"))
        pictures(1)
        recipe_of_size(4, 4).apply(pictures(1)[0])
    # One row of a few classes is quicker scored here than handed over.
    assert "tta/result.row_result" in calls.names
    assert "imaging/recipe.apply" in calls.names
