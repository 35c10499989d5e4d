"""The handles come to an answer last, and change nothing else of it."""

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.scores import score
from batchproof_server.observing.fan_out import Observers
from batchproof_server.serving.off_loop import DecodingSettings, OffLoop
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import Prediction, RequestLimits


async def test_an_answer_with_its_handles_differs_in_nothing_else() -> None:
    clock, observer = MonotonicClock(), Observers((), on_failure=print)
    off_loop = OffLoop(DecodingSettings(), clock, observer)
    predictor = Predictor(RequestLimits(), off_loop, clock, observer)
    scores = score(np.zeros((1, 2)), "logits")
    of_each_field: dict[str, Any] = {each.name: object() for each in fields(Prediction)}
    model = SimpleNamespace(name="m", version=1)
    prediction = Prediction(**of_each_field | {"model": model, "scores": scores})
    try:
        sealed = await predictor._sealed(prediction, scores, lambda *_: (b"handle",))
    finally:
        off_loop.close()
    assert sealed == replace(prediction, handles=(b"handle",))
