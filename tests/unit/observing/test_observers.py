"""Observers pass everything on, and one that fails changes nothing for the others."""

from typing import Any

import numpy as np
import pytest

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    ModelRecord,
    Observer,
    PredictionRecord,
    RequestRecord,
    SelfCheckRecord,
    ShedRecord,
)
from batchproof_server.observing.fan_out import Observers
from support.fakes import Recorder

ONES = np.ones((1, 1))
EVENTS: dict[str, tuple[Any, ...]] = {
    "request_finished": (RequestRecord("Predict", "id", "m", 1, "OK", 0.1, 1, ""),),
    "predicted": (PredictionRecord("m", 1, "id", ONES, None, ONES[0], ONES[0]),),
    "batch_executed": (BatchRecord("m", 1, 1, 2, (0.0,), 0.1, failed=False),),
    "image_decoded": (DecodeRecord("png", 0.1),),
    "request_shed": (ShedRecord("m", 1, "draining"),),
    "queue_changed": ("m", 1, 3),
    "model_changed": (ModelRecord("m", 1, "ready", "a", "b", "c", (), 0.1),),
    "self_checked": (SelfCheckRecord("m", 1, "identical", "id", 2, 4),),
}


class Failing:
    """An observer that raises whatever it is told."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_args: object) -> None:
            raise RuntimeError(name)

        return fail


def test_every_event_of_the_protocol_is_covered_here() -> None:
    assert set(EVENTS) == {name for name in vars(Observer) if not name.startswith("_")}


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_reaches_every_observer_although_one_fails(event: str) -> None:
    before, after = Recorder(), Recorder()
    failures: list[Exception] = []
    observers = Observers((before, Failing(), after), failures.append)
    getattr(observers, event)(*EVENTS[event])
    told = [
        *after.requests,
        *after.predictions,
        *after.batches,
        *after.decoded,
        *after.shed,
        *after.queue_rows,
        *after.models,
        *after.self_checks,
    ]
    assert told == [EVENTS[event][-1]]
    assert before == after
    assert [str(failure) for failure in failures] == [event]
