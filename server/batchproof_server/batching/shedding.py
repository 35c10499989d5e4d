"""What becomes of tasks that are not executed: their callers are told why, and observers too."""

from collections.abc import Callable, Hashable, Iterable
from functools import partial

from batchproof_server.base.errors import (
    DeadlineExceeded,
    Draining,
    ModelNotReady,
    QueueFull,
    ServingError,
)
from batchproof_server.base.events import Observer, ShedRecord
from batchproof_server.base.priorities import is_above
from batchproof_server.batching.priorities import priority_of
from batchproof_server.batching.replies import SHED_REASONS, Member, settle
from batchproof_server.batching.task import Task

Tasks = Iterable[Task[Member]]


# Contract: each task that is shed here is counted once, unless its caller went away before.
class Shedding:
    """Refuses tasks of one model version.

    Args:
        model: its name, for records.
        version: its version, for records.
        observer: told of each.
    """

    def __init__(self, model: str, version: int, observer: Observer) -> None:
        self._model = model
        self._version = version
        self._observer = observer

    def count(self, refusal: ServingError) -> None:
        """A request was refused on arrival; whoever asked is told by the refusal itself."""
        self._tell(SHED_REASONS[type(refusal)])

    def expired(self, tasks: Tasks, now_s: float) -> None:
        """The deadlines of these tasks passed while they waited."""
        for task in tasks:
            waited_s = now_s - task.payload.arrival_s
            message = f"the deadline passed after {waited_s:.3f} s in the queue, unexecuted"
            self._shed(task, partial(DeadlineExceeded, message), "deadline")

    def expired_apart(self, task: Task[Member]) -> None:
        """The deadline of a member of a micro-batch that failed passed before its own execution."""
        message = "the deadline passed before the request was executed apart from others"
        self._shed(task, partial(DeadlineExceeded, message), "deadline")

    def hopeless(self, tasks: Tasks, now_s: float, expected_s: float) -> None:
        """The next micro-batch would end after the deadlines of these tasks.

        Args:
            tasks: that waited.
            now_s: the instant.
            expected_s: what that micro-batch will take.
        """
        for task in tasks:
            waited_s = now_s - task.payload.arrival_s
            message = (
                f"after {waited_s:.3f} s in the queue the answer would come in {expected_s:.3f} s, "
                "and the deadline before it"
            )
            self._shed(task, partial(DeadlineExceeded, message), "deadline")

    def displaced(self, tasks: Tasks, caller: Hashable, retry_after_s: float) -> None:
        """These tasks made room for another.

        Args:
            tasks: of another priority, or of whoever held more of the queue.
            caller: who needed the room.
            retry_after_s: when trying again makes sense.
        """
        new = priority_of(caller)
        for task in tasks:
            gone, text, reason = priority_of(task.caller), _DISPLACED, "share"
            if gone != new:
                text, reason = _LESS_URGENT if is_above(new, gone) else _BEYOND_ITS_PART, "priority"
            self._shed(task, partial(QueueFull, text, retry_after_s), reason)

    def not_ready(self, tasks: Tasks, reason: str) -> None:
        """The version cannot answer any more."""
        for task in tasks:
            self._shed(task, partial(not_ready, reason), "not_ready")

    def closed(self, tasks: Tasks) -> None:
        """The version went away."""
        for task in tasks:
            self._shed(task, partial(Draining, _CLOSED), "draining")

    def _shed(self, task: Task[Member], refusal: Callable[[], ServingError], reason: str) -> None:
        if settle(task, refusal):
            self._tell(reason)

    def _tell(self, reason: str) -> None:
        self._observer.notify(ShedRecord(self._model, self._version, reason))


def not_ready(reason: str) -> ModelNotReady:
    """The refusal of a version that cannot answer now."""
    return ModelNotReady(f"{reason}; try again soon or elsewhere")


_CLOSED = "the server or this version went away before the request was executed"
_LESS_URGENT = "the queue is full, and this request gave way to one of a higher priority"
_BEYOND_ITS_PART = (
    "the queue is full, and this request gave way to one of a lower priority, which keeps a part "
    "of the queue"
)
_DISPLACED = (
    "the queue is full, and this request gave way to one of another caller, who holds less of it"
)
