"""How the answer to a task travels with it, and why it may have none."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from batchproof_server.base.errors import (
    BackendFailed,
    DeadlineExceeded,
    Draining,
    ModelNotReady,
    QueueFull,
    ServingError,
)
from batchproof_server.base.signature import Tensors
from batchproof_server.batching.task import Task

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
