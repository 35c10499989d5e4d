"""The self-check beside the micro-batches: what it learns of them, and what it tells of itself."""

from collections.abc import Iterable, Iterator

from batchproof_server.base.events import Observer, SelfCheckRecord
from batchproof_server.batching.replies import Batch
from batchproof_server.devices.execution import Executed
from batchproof_server.selfcheck.choosing import Answered, SelfChecks, Skipped
from batchproof_server.selfcheck.judging import Check, judge


# Contract: lives on the loop thread; a check that fails is recorded as skipped and raises nothing.
class Background:
    """What the batcher does for no caller.

    Args:
        model: the model's name, for records.
        version: the model's version, for records.
        checks: decides.
        observer: told of every check that was selected, once.
    """

    def __init__(self, model: str, version: int, checks: SelfChecks, observer: Observer) -> None:
        self._model = model
        self._version = version
        self._checks = checks
        self._observer = observer

    def due_at(self, idle_since_s: float) -> float | None:
        """When ``take`` would return a check; None when there is none to do."""
        return self._checks.due_at(idle_since_s)

    def take(self, now_s: float, idle_since_s: float) -> Check | None:
        """The next check if one is due; only to be called while nothing waits."""
        return self._checks.take(now_s, idle_since_s)

    def answered(self, batch: Batch, executed: Executed, now_s: float) -> None:
        """Learns of a micro-batch right after its callers were answered."""
        if executed.failure is None and (tasks := tuple(_answered(batch, executed))):
            self._record_skipped(self._checks.answered(tasks, batch.bucket_rows, now_s))

    def finish(self, check: Check, executed: Executed) -> None:
        """Judges a check that was executed."""
        if executed.failure is not None:
            self._record_skipped([Skipped(check.request_id, "failed")])
            return
        verdict = judge(check, executed.parts[check.position])
        self._observer.notify(
            SelfCheckRecord(
                model=self._model,
                version=self._version,
                result="identical" if verdict.identical else "different",
                request_id=check.request_id,
                bucket_rows=check.bucket_rows,
                answered_bucket_rows=check.answered_bucket_rows,
                greatest_difference=verdict.greatest_difference,
            )
        )

    def drop(self) -> None:
        """Gives up whatever waits."""
        self._record_skipped(self._checks.drop())

    def _record_skipped(self, skipped: Iterable[Skipped]) -> None:
        for each in skipped:
            self._observer.notify(
                SelfCheckRecord(
                    model=self._model,
                    version=self._version,
                    result="skipped",
                    request_id=each.request_id,
                    reason=each.reason,
                )
            )


def _answered(batch: Batch, executed: Executed) -> Iterator[Answered]:
    position = 0
    for task, outputs in zip(batch.members, executed.parts, strict=True):
        # Whoever cancelled has no answer that could be wrong, and may use the inputs' memory again.
        if not task.payload.reply.cancelled():
            yield Answered(
                request_id=task.payload.request_id,
                kind=task.kind,
                inputs=task.payload.inputs,
                outputs=outputs,
                rows=task.rows,
                position=position,
            )
        position += task.rows
