"""Has shadows execute answered rows while nobody waits."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.events import Observer, PredictionRecord
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import tensor_means
from batchproof_server.devices.device import Execution, NotExecuted
from batchproof_server.models.served import ServedModel
from batchproof_server.models.versions import Versions
from batchproof_server.selfcheck.choosing import PATIENCE_S, QUIET_S
from batchproof_server.selfcheck.judging import Answered
from batchproof_server.shadowing.comparing import compare, incomparable
from batchproof_server.shadowing.holding import HeldRow, HeldRows
from batchproof_server.shadowing.records import ShadowRecord
from batchproof_server.shadowing.settings import ShadowSettings


# Contract
#
# Who waits   A shadow begins to execute only while no request is under way in this server, whatever
#             its model, and no device executes anything; when that has been so for QUIET_S, or is
#             so now and no shadow has begun for PATIENCE_S.
# How much    One row at a time, over all models, in the smallest bucket. Whoever comes while it is
#             executed has at most the rest of that one execution beside theirs.
# Harm        What a shadow raises, and whatever is wrong with its outputs, is one skipped row.
# Memory      As ``HeldRows`` says; rows are copies.
# Thread      Everything happens on the loop thread.
class Shadowing:
    """Gives answered rows to the shadows of their models.

    Args:
        versions: knows shadows and the versions that answer.
        settings: how much.
        clock: for the alarm.
        observer: told of every row that was selected.
        nobody_asks: whether no request is under way.
    """

    def __init__(
        self,
        versions: Versions,
        settings: ShadowSettings,
        clock: Clock,
        observer: Observer,
        nobody_asks: Callable[[], bool],
    ) -> None:
        self._versions = versions
        self._clock = clock
        self._observer = observer
        self._nobody_asks = nobody_asks
        self._rows = HeldRows(settings.share, settings.max_held_bytes)
        self._alarm = Alarm(clock, self._look)
        self._began_s = -math.inf
        versions.listen(self._follow)

    def set(self, model: str, version: int | None) -> None:
        """Makes a version the shadow of its model, in the place of another; None ends it.

        Raises:
            InvalidInput: a label stands for the version.
        """
        self._versions.shadows.set(model, version)
        self._rows.drop(model)
        for served in self._versions.loaded():
            if served.name == model:
                self._follow(served)

    def end(self) -> None:
        """Executes nothing any more."""
        self._alarm.cancel()

    def _follow(self, served: ServedModel) -> None:
        shadow = self._versions.shadows.of(served.name)
        is_followed = shadow not in (None, served.version)
        served.batcher.follow_answers(partial(self._learn, served) if is_followed else None)

    def _learn(
        self, served: ServedModel, tasks: Sequence[Answered], bucket_rows: int, execution_s: float
    ) -> None:
        for task in tasks:
            name, version = served.name, served.version
            reason = self._rows.offer(name, version, task, bucket_rows, execution_s)
            if reason is not None:
                self._tell_skipped(name, version, reason)
        if len(self._rows):
            self._alarm.ring_by(self._clock.now_s() + QUIET_S)

    def _look(self) -> None:
        """Executes a row if nobody waits, and looks again for as long as there are some."""
        if not len(self._rows):
            return
        now_s = self._clock.now_s()
        if self._may_begin(now_s):
            self._begin(self._rows.take(), now_s)
        self._alarm.ring_by(now_s + QUIET_S)

    def _may_begin(self, now_s: float) -> bool:
        loaded = self._versions.loaded()
        if not self._nobody_asks() or any(each.batcher.has_work for each in loaded):
            return False
        idle_since_s = max((each.device.idle_since_s for each in loaded), default=now_s)
        return idle_since_s + QUIET_S <= now_s or self._began_s + PATIENCE_S <= now_s

    def _begin(self, row: HeldRow, now_s: float) -> None:
        number = self._versions.shadows.of(row.model)
        loaded = {each.version: each for each in self._versions.loaded() if each.name == row.model}
        shadow, answered = loaded.get(number or 0), loaded.get(row.version)
        if shadow is None or answered is None or not shadow.batcher.is_at_rest:
            self._tell_skipped(row.model, row.version, "not_ready")
        elif incomparable(answered.loaded, shadow.loaded):
            self._tell_skipped(row.model, row.version, "not_comparable")
        else:
            self._began_s = now_s
            finish = partial(self._finish, row, answered, shadow)
            shadow.batcher.execute_aside(row.inputs, finish)

    def _finish(
        self, row: HeldRow, answered: ServedModel, shadow: ServedModel, execution: Execution
    ) -> None:
        if isinstance(execution, NotExecuted):
            self._tell_skipped(row.model, row.version, "failed", shadow.version)
            return
        try:
            found = compare(row.outputs, answered.loaded, execution.parts[0], shadow.loaded)
        except Exception:  # noqa: BLE001 - whatever a shadow answers, it harms nobody
            self._tell_skipped(row.model, row.version, "failed", shadow.version)
            return
        is_timed = row.bucket_rows == shadow.batcher.settings.buckets_rows[0]
        self._observer.notify(
            ShadowRecord(
                row.model,
                row.version,
                shadow.version,
                "same" if found.agrees else "different",
                found.distance,
                row.execution_s if is_timed else None,
                execution.execution_s,
                scored=_scored(shadow, row, found.scores),
            )
        )

    def _tell_skipped(self, model: str, version: int, reason: str, shadow: int = 0) -> None:
        number = shadow or self._versions.shadows.of(model) or 0
        self._observer.notify(ShadowRecord(model, version, number, "skipped", reason=reason))


def _scored(shadow: ServedModel, row: HeldRow, scores: Scores) -> PredictionRecord:
    """What a shadow answered, as its own answers would be told; the picture is not there."""
    inputs = None
    if shadow.is_watched:
        array = row.inputs[shadow.loaded.backend.signature.inputs[0].name]
        inputs = InputStatistics((None,), np.full(1, np.nan), tensor_means(array))
    return PredictionRecord(shadow.name, shadow.version, "", scores, inputs)
