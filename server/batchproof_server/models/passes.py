"""Executes a bucket in several passes of a smaller one where that is quicker."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from batchproof_server.base.backend import Backend, Looping, Shrinking, batch_rows
from batchproof_server.base.clock import Clock
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.models.warm_up import measure_execution_s

# Less than this is noise of the measurement: then a bucket is executed whole.
_GAIN: Final = 0.97


def passes_rows(buckets_rows: Sequence[int], took_s: Sequence[float]) -> dict[int, int]:
    """The rows of one pass for each bucket; its own where one pass is the quickest. Pure.

    What lies between the layers of a few rows fits a cache of the processor that many rows do not
    fit, so that more of the smaller are quicker than one of the larger.

    Args:
        buckets_rows: ascending.
        took_s: what each takes in one pass.
    """
    took = dict(zip(buckets_rows, took_s, strict=True))
    passes = {}
    for rows, whole_s in took.items():
        parts = [each for each in took if each < rows and rows % each == 0]
        quickest = min(parts, key=lambda each: took[each] / each, default=rows)
        is_quicker = took[quickest] * (rows // quickest) < _GAIN * whole_s
        passes[rows] = quickest if is_quicker else rows
    return passes


def in_passes(
    backend: Backend, buckets_rows: tuple[int, ...], clock: Clock, *, gives_one_answer: bool
) -> tuple[Backend, tuple[float, ...]]:
    """The backend, each of its buckets executed the quickest way, and what each takes then.

    Args:
        backend: has executed every bucket before; what it does not need it releases.
        buckets_rows: that are served, ascending.
        clock: measures.
        gives_one_answer: whether the same bits come from all of them; else none is in passes.
    """
    took_s = measure_execution_s(backend, buckets_rows, clock)
    passes = passes_rows(buckets_rows, took_s) if gives_one_answer else {}
    if any(rows != size for rows, size in passes.items()):
        took = dict(zip(buckets_rows, took_s, strict=True))
        took_s = tuple(took[size] * (rows // size) for rows, size in passes.items())
        backend = BackendInPasses(backend, passes)
    # What the probes took is taken again by the buckets that callers really fill.
    if isinstance(backend, Shrinking):
        backend.keep_buckets(buckets_rows)
    return backend, took_s


# Contract: what ``Backend`` promises, as long as all buckets give the same bits: a row's answer
# then depends neither on the bucket nor on the pass.
class BackendInPasses:
    """A backend that executes some of its buckets in passes.

    Args:
        backend: has proven that the same bits come from all of its buckets; closed with this.
        passes: the rows of one pass for each bucket that is served.
    """

    def __init__(self, backend: Backend, passes: Mapping[int, int]) -> None:
        self._backend = backend
        self._passes = dict(passes)

    @property
    def signature(self) -> Signature:
        """The inputs and outputs as requests name them."""
        return self._backend.signature

    @property
    def engine(self) -> str:
        """The engine's name and version."""
        return self._backend.engine

    @property
    def has_loops(self) -> bool:
        """Whether an execution may never end."""
        return isinstance(self._backend, Looping) and self._backend.has_loops

    def execute(self, inputs: Tensors) -> Tensors:
        """Executes one padded micro-batch, pass by pass.

        Raises:
            ValueError: the inputs do not fit the signature or are no bucket.
            BackendFailed: the model failed.
        """
        rows = batch_rows(self.signature, inputs, self._passes)
        size = self._passes[rows]
        if size == rows:
            return self._backend.execute(inputs)
        answers = [
            self._backend.execute(
                {name: array[start : start + size] for name, array in inputs.items()}
            )
            for start in range(0, rows, size)
        ]
        return {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}

    def keep_buckets(self, buckets_rows: Collection[int]) -> None:
        """Releases all that these do not need: the buckets that are executed in passes, too."""
        self._passes = {rows: self._passes[rows] for rows in buckets_rows}
        if isinstance(self._backend, Shrinking):
            self._backend.keep_buckets(sorted(set(self._passes.values())))

    def close(self) -> None:
        """Releases the model."""
        self._backend.close()
