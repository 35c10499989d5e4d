"""How the answer to a task travels with it and with its micro-batch, and why it may have none."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from batchproof_server.base.errors import (
    BackendFailed,
    DeadlineExceeded,
    Draining,
    ModelNotReady,
    QueueFull,
    ServingError,
)
from batchproof_server.base.events import BatchRecord
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.task import Task
from batchproof_server.devices.device import Executed, Execution, NotExecuted
from batchproof_server.selfcheck.judging import Answered

SHED_REASONS: Mapping[type[ServingError], str] = {
    DeadlineExceeded: "deadline",
    Draining: "draining",
    QueueFull: "queue_full",
    ModelNotReady: "not_ready",
}


@dataclass(frozen=True, slots=True)
class BatchedRows:
    """The answer to one task.

    Attributes:
        outputs: the task's rows of every output, in its own memory.
        rows: rows of the task.
        bucket_rows: rows of the micro-batch that was executed, with its padding.
        queue_delay_s: from acceptance until the micro-batch was handed to the device.
        execution_s: assembly, execution and splitting, on the device thread.
    """

    outputs: Tensors
    rows: int
    bucket_rows: int
    queue_delay_s: float
    execution_s: float


# A refusal is made where it is raised: one exception for each caller, and none kept in a reply,
# where it would hold its own traceback, and with it the request's tensors, in a cycle.
MakeRefusal: TypeAlias = Callable[[], ServingError]
Outcome: TypeAlias = BatchedRows | MakeRefusal


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """The payload of a task: what goes to the device, and where its answer goes.

    Attributes:
        inputs: rows on axis 0.
        reply: settled once, unless its caller cancels it.
        arrival_s: when the task was accepted.
        request_id: for the log, should its answer be found wrong later.
    """

    inputs: Tensors
    reply: asyncio.Future[Outcome]
    arrival_s: float
    request_id: str = ""


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


@dataclass(frozen=True, slots=True)
class Batch:
    """The members of one micro-batch.

    Attributes:
        members: in the order of their rows.
        rows: rows of all members.
        bucket_rows: rows with the padding.
        taken_s: when it was handed to the device.
        is_again: whether its members were executed before, in a micro-batch that failed.
    """

    members: Members
    rows: int
    bucket_rows: int
    taken_s: float
    is_again: bool = False

    def answer(self, execution: Execution) -> None:
        """Gives each member its rows, or each its own BackendFailed."""
        if isinstance(execution, NotExecuted):
            for task in self.members:
                settle(task, partial(backend_failed, execution.cause))
            return
        for task, outputs in zip(self.members, execution.parts, strict=True):
            member = task.payload
            if not member.reply.done():
                rows = BatchedRows(
                    outputs=outputs,
                    rows=task.rows,
                    bucket_rows=self.bucket_rows,
                    queue_delay_s=self.taken_s - member.arrival_s,
                    execution_s=execution.execution_s,
                )
                member.reply.set_result(rows)

    def answered(self, executed: Executed) -> list[Answered]:
        """What became of each member, for the self-check.

        Whoever cancelled has no answer that could be wrong, and may use the inputs' memory again.
        """
        answered, position = [], 0
        for task, outputs in zip(self.members, executed.parts, strict=True):
            member = task.payload
            if not member.reply.cancelled():
                answered.append(
                    Answered(
                        request_id=member.request_id,
                        kind=task.kind,
                        inputs=member.inputs,
                        outputs=outputs,
                        rows=task.rows,
                        position=position,
                    )
                )
            position += task.rows
        return answered

    def record(self, model: str, version: int, execution: Execution) -> BatchRecord:
        """What observers are told."""
        return BatchRecord(
            model=model,
            version=version,
            rows=self.rows,
            bucket_rows=self.bucket_rows,
            # The wait of a member was recorded when it was executed the first time.
            queue_delays_s=()
            if self.is_again
            else tuple([self.taken_s - task.payload.arrival_s for task in self.members]),
            execution_s=execution.execution_s,
            failed=isinstance(execution, NotExecuted),
        )
