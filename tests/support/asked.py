"""What serves one loaded model to those who ask offline."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from batchproof_server.base.clock import MonotonicClock
from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.thread import ThreadDevice
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.served import ServedModel
from batchproof_server.observing.fan_out import Observers
from batchproof_server.offline.asking import Count, Predict
from batchproof_server.offline.evaluation.augmentation.running import Runner
from batchproof_server.offline.reference_profile.answering import RecordKeeper
from batchproof_server.serving.off_loop import DecodingSettings, OffLoop
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import RequestLimits


@dataclass(frozen=True)
class Asked:
    """A served model, and what answers requests to it."""

    model: ServedModel
    predict: Predict
    records: RecordKeeper

    def runner(self, count: Count = lambda _done: None) -> Runner:
        """A runner whose pictures take one second each."""
        ticks = itertools.count()
        return Runner(self.model, self.predict, lambda: float(next(ticks)), count)


@contextmanager
def asked(loaded: LoadedModel) -> Iterator[Asked]:
    """Serves a model, which is closed at the end."""
    clock, records = MonotonicClock(), RecordKeeper()
    observer = Observers([records], on_failure=_fail)
    device = ThreadDevice(loaded.backend, partial(ThreadPoolExecutor, 1), clock)
    batcher = Batcher(
        loaded.bundle.name,
        loaded.bundle.version,
        loaded.backend.signature,
        loaded.batching,
        device=device,
        clock=clock,
        observer=observer,
    )
    limits = RequestLimits()
    model = ServedModel(
        loaded,
        batcher,
        device,
        limits.max_request_rows,
        limits.max_request_views,
        watches_inputs=True,
    )
    off_loop = OffLoop(DecodingSettings(), clock, observer)
    try:
        yield Asked(model, Predictor(limits, off_loop, clock, observer).predict_each, records)
    finally:
        off_loop.close()
        model.close()


def _fail(failure: Exception) -> None:
    raise failure
