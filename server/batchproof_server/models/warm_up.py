"""First executions of a version: no request pays for them, and they tell what each bucket takes."""

import math

import numpy as np

from batchproof_server.base.backend import Backend
from batchproof_server.base.clock import Clock
from batchproof_server.base.signature import Signature, Tensors


def warm_up(backend: Backend, buckets_rows: tuple[int, ...]) -> Tensors:
    """Executes every bucket once with zeros, so that no request pays for the first execution.

    Returns:
        The outputs of the last bucket.
    """
    outputs: Tensors = {}
    for rows in buckets_rows:
        outputs = backend.execute(_zeros(backend.signature, rows))
    return outputs


def accepted_row(signature: Signature) -> Tensors:
    """One row that every version has executed when it was warmed up."""
    return _zeros(signature, 1)


def measure_execution_s(
    backend: Backend, buckets_rows: tuple[int, ...], clock: Clock
) -> tuple[float, ...]:
    """The shortest of a few executions of each bucket, which were all executed before.

    In rounds, one execution of each bucket after the other: while something else slows the machine
    down it slows all of them down, and none looks dearer than the others for having been measured
    then.

    Returns:
        Seconds, in the order of the buckets.
    """
    inputs = [_zeros(backend.signature, rows) for rows in buckets_rows]
    shortest_s = [math.inf for _ in buckets_rows]
    begun_s = ended_s = clock.now_s()
    for _ in range(_MOST_ROUNDS):
        for place, rows in enumerate(inputs):
            started_s = ended_s
            backend.execute(rows)
            ended_s = clock.now_s()
            shortest_s[place] = min(shortest_s[place], ended_s - started_s)
        if ended_s - begun_s > _ENOUGH_S * len(inputs):
            break
    return tuple(shortest_s)


_MOST_ROUNDS = 5
# All rounds together, for each of the buckets.
_ENOUGH_S = 0.2


def _zeros(signature: Signature, rows: int) -> Tensors:
    return {
        spec.name: np.zeros((rows, *(size or _ANY_SIZE for size in spec.row_shape)), spec.dtype)
        for spec in signature.inputs
    }


# What a dimension of any size is taken to be for the warm-up.
_ANY_SIZE = 64
