"""Rows of one request through a model's micro-batcher, in slices where they are too many."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.decode_pool import all_or_none


@dataclass(frozen=True, slots=True, eq=False)
class Executed:
    """Rows that came back from the model.

    Attributes:
        outputs: every output of the signature, rows on axis 0, in the order of the input.
        executions: the slices, in that order.
    """

    outputs: Tensors
    executions: tuple[BatchedRows, ...]


# Contract: the answer to a row does not depend on how its request was cut.
async def submit(
    model: ServedModel, tensors: Tensors, rows: int, deadline_s: float, request_id: str
) -> Executed:
    """Executes rows that were checked.

    Args:
        model: which version.
        tensors: by the names of the signature, rows on axis 0.
        rows: how many.
        deadline_s: an instant of the clock.
        request_id: names the request should a self-check find its answer wrong.

    Raises:
        QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
    """
    largest = model.loaded.batching.max_batch_rows
    if rows <= largest:
        only = await model.batcher.submit(tensors, rows, deadline_s, request_id)
        return _executed(model, (only,))
    model.batcher.check_room(rows, deadline_s)
    executions = await all_or_none(
        model.batcher.submit(part, count, deadline_s, request_id)
        for part, count in _slices(tensors, rows, largest)
    )
    return _executed(model, executions)


def _slices(tensors: Tensors, rows: int, largest: int) -> Iterator[tuple[Tensors, int]]:
    for start in range(0, rows, largest):
        stop = min(start + largest, rows)
        yield {name: array[start:stop] for name, array in tensors.items()}, stop - start


def _executed(model: ServedModel, executions: tuple[BatchedRows, ...]) -> Executed:
    outputs = {
        spec.name: _joined([execution.outputs[spec.name] for execution in executions])
        for spec in model.loaded.backend.signature.outputs
    }
    return Executed(outputs, executions)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
