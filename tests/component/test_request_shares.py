"""Whatever a request asks for, its rows wait under the name of its caller."""

import asyncio
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from batchproof_server.backends.affine.source import AffineSettings
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.errors import QueueFull
from batchproof_server.base.output import OutputSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.serving.request import Caller, Prediction, PredictRequest
from batchproof_server.tta.choice import TtaRequest
from support.engine_bench import NO_HURRY_S, EngineBench, engine_bench
from support.fakes import PuppetDevice, until
from support.tta_recipes import recipe_of_size

# Who is forgotten on the way asks under the name of nobody, which is the greedy one here.
GREEDY = ""
BATCHING = BatchingSettings((2, 4), max_queued_rows=16)
SETTINGS = AffineSettings((4, 4, 3), "float32", 3, 0.02, 0.0)


def picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (4, 4), (10, 20, 30)).save(file, "PNG")
    return file.getvalue()


def tensors(place: EngineBench, caller: str, rows: int) -> PredictRequest:
    """A request of numbers."""
    name = place.model.loaded.backend.signature.inputs[0].name
    array = np.zeros((rows, 4, 4, 3), np.float32)
    return PredictRequest(place.model, NO_HURRY_S, tensors={name: array}, caller=Caller(caller))


def pictures(place: EngineBench, caller: str, tta: TtaRequest | None) -> PredictRequest:
    """A request of one picture."""
    plan = place.model.plan(tta)
    return PredictRequest(
        place.model, NO_HURRY_S, images=[picture()], plan=plan, caller=Caller(caller)
    )


@pytest.mark.parametrize("kind", ["rows", "slices", "picture", "views", "early exit"])
async def test_a_polite_request_of_any_kind_finds_room_in_a_queue_that_another_has_filled(
    kind: str,
) -> None:
    device = PuppetDevice()
    output, recipe = OutputSettings("logits", "scores"), recipe_of_size(4, 4)
    backend = AffineBackend(SETTINGS, BATCHING.buckets_rows)
    with engine_bench(
        backend, batching=BATCHING, output=output, recipe=recipe, device=device
    ) as place:
        greedy = [asyncio.ensure_future(place.engine.predict(tensors(place, GREEDY, 4)))]
        await until(lambda: device.waiting_jobs == 1)
        for _ in range(4):
            request = tensors(place, GREEDY, 4)
            greedy.append(asyncio.ensure_future(place.engine.predict(request)))
        await until(lambda: place.waiting_rows == 16)
        with pytest.raises(QueueFull):
            await place.engine.predict(tensors(place, GREEDY, 1))
        asked = {
            "rows": tensors(place, "polite", 1),
            "slices": tensors(place, "polite", 6),
            "picture": pictures(place, "polite", None),
            "views": pictures(place, "polite", TtaRequest("flip")),
            "early exit": pictures(place, "polite", TtaRequest("flip", early_exit=0.999)),
        }
        polite = asyncio.ensure_future(place.engine.predict(asked[kind]))
        await until(lambda: "share" in place.recorder.shed_reasons)
        everything = asyncio.gather(polite, *greedy, return_exceptions=True)
        while not everything.done():
            if device.waiting_jobs:
                device.run_next()
            await asyncio.sleep(0)
        assert isinstance(polite.result(), Prediction)
        refused = [str(task.exception()) for task in greedy if task.exception() is not None]
        assert 1 <= len(refused) <= 2
        assert all("gave way to one of another caller" in each for each in refused), refused
