"""Executes probe rows together: some as a batch, or all of them in full buckets."""

from collections.abc import Iterator, Sequence

import numpy as np

from batchproof_server.base.backend import Backend
from batchproof_server.base.signature import Tensors
from batchproof_server.proof.probing.answers import Answer, split_rows, stack
from batchproof_server.proof.probing.rows import ProbeRow


def answers_of(backend: Backend, rows: Sequence[ProbeRow]) -> list[Answer]:
    """Executes rows together; the answer to each. Their number is a bucket.

    Raises:
        BackendFailed: the model failed.
    """
    return answers_to(backend, stack([row.tensors for row in rows]))


def answers_to(backend: Backend, batch: Tensors) -> list[Answer]:
    """Executes rows that are a batch already; the answer to each.

    Raises:
        BackendFailed: the model failed.
    """
    with np.errstate(all="ignore"):  # extreme rows overflow, which is what they are for
        return split_rows(backend.execute(batch))


def chunks(count: int, bucket_rows: int) -> Iterator[list[int]]:
    """Fills buckets with all of ``count`` rows in order, starting again to fill the last one."""
    for start in range(0, count, bucket_rows):
        yield [place % count for place in range(start, start + bucket_rows)]


def execute_co_batched(
    backend: Backend, bucket_rows: int, rows: Sequence[ProbeRow]
) -> tuple[Answer, ...]:
    """Executes all rows in full buckets; the answer to each."""
    together = stack([row.tensors for row in rows])
    answers: list[Answer] = []
    for chunk in chunks(len(rows), bucket_rows):
        answers += answers_to(backend, {name: array[chunk] for name, array in together.items()})
    return tuple(answers[: len(rows)])
