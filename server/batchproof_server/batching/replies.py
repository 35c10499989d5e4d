"""How the answer to a task travels with it, and why it may have none."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from batchproof_server.base.errors import (
    BackendFailed,
    DeadlineExceeded,
    Draining,
    InvalidInput,
    ModelNotReady,
    QueueFull,
    ServingError,
)
from batchproof_server.base.scores import Scores, Scoring
from batchproof_server.base.signature import Tensors
from batchproof_server.base.spans import RequestSpans
from batchproof_server.base.unguarded import unguarded
from batchproof_server.batching.task import Task

SHED_REASONS: Mapping[type[ServingError], str] = {
    DeadlineExceeded: "deadline",
    Draining: "draining",
    QueueFull: "queue_full",
    ModelNotReady: "not_ready",
}


# Contract: one value for all tasks of a micro-batch, for the loop thread. It changes no answer: it
# is there so that what can be worked out for all rows at once is worked out once.
@dataclass(slots=True, eq=False)
class CoBatched:
    """What the tasks of one micro-batch were answered with.

    Attributes:
        parts: the outputs of each task.
    """

    parts: tuple[Tensors, ...]
    _scores: tuple[Scores, ...] | None = field(default=None, init=False)

    def scores(
        self, place: int, scoring: Scoring, is_quick: Callable[[int], bool]
    ) -> Scores | None:
        """The scores of one task, bit for bit those that it would have alone.

        Args:
            place: of the task.
            scoring: makes the scores; the same for all of them.
            is_quick: whether so many numbers may be computed with at once.

        Returns:
            None where each task is better off with its own: there is too much for one turn of the
            loop, or one of the outputs is not finite, which is its own caller's business.
        """
        if self._scores is None:
            arrays = [part[scoring.name] for part in self.parts]
            self._scores = ()
            if is_quick(sum([array.size for array in arrays])):
                with contextlib.suppress(InvalidInput):
                    self._scores = scoring.score_together(arrays)
        return self._scores[place] if self._scores else None


@unguarded()
class BatchedRows:
    """The answer to one task.

    Attributes:
        outputs: the task's rows of every output, in its own memory.
        rows: rows of the task.
        bucket_rows: rows of the micro-batch that was executed, with its padding.
        queue_delay_s: from acceptance until the micro-batch was handed to the device.
        execution_s: assembly, execution and splitting, on the device thread.
        co_batched: of the micro-batch; None where the task was alone in it.
        place: of the task in it.
    """

    outputs: Tensors
    rows: int
    bucket_rows: int
    queue_delay_s: float
    execution_s: float
    co_batched: CoBatched | None = field(default=None, repr=False, compare=False)
    place: int = field(default=0, repr=False, compare=False)


# A refusal is made where it is raised: one exception for each caller, and none kept in a reply,
# where it would hold its own traceback, and with it the request's tensors, in a cycle.
MakeRefusal: TypeAlias = Callable[[], ServingError]
Outcome: TypeAlias = BatchedRows | MakeRefusal


@unguarded(eq=False)
class Member:
    """The payload of a task: what goes to the device, and where its answer goes.

    Attributes:
        inputs: rows on axis 0.
        reply: settled once, unless its caller cancels it.
        arrival_s: when the task was accepted.
        request_id: for the log, should its answer be found wrong later.
        spans: of a sampled request.
    """

    inputs: Tensors
    reply: asyncio.Future[Outcome]
    arrival_s: float
    request_id: str = ""
    spans: RequestSpans | None = None


Members: TypeAlias = tuple[Task[Member], ...]


def settle(task: Task[Member], outcome: Outcome) -> bool:
    """Answers a task unless it was answered or its caller went away; whether it did."""
    reply = task.payload.reply
    if reply.done():
        return False
    reply.set_result(outcome)
    return True


def backend_failed(cause: BaseException) -> BackendFailed | ModelNotReady:
    """The answer to a request that the model did not survive, or its device."""
    if isinstance(cause, ModelNotReady):
        return ModelNotReady(str(cause))
    failed = BackendFailed("the model failed while it executed this request")
    failed.__cause__ = cause
    return failed
