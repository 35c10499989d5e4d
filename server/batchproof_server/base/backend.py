"""What an engine owes: a few lines of promise, kept by every backend's contract tests."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import ConfigDict

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How engines use the machine.

    Attributes:
        intra_op_threads: threads inside one operation; 0 leaves it to the engine.
        inter_op_threads: operations at the same time; 0 leaves it to the engine.
        name: the engine that executes models, where several can; ``auto`` leaves it to their
            manifests, and then takes the first that proves a model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    intra_op_threads: int = 0
    inter_op_threads: int = 0
    name: str = "auto"

    def __post_init__(self) -> None:
        if self.intra_op_threads < 0 or self.inter_op_threads < 0:
            raise ValueError("threads must be 0 or more")


# Contract of a backend
#
# execute(inputs) blocks, runs on one thread at a time and
#   - takes every input of the signature, all with the same row count, which is one of the buckets
#     that the backend was loaded for; anything else raises ValueError (``batch_rows`` checks it);
#   - returns every output of the signature with that same row count on axis 0, as arrays that the
#     caller owns: a later execute never changes them;
#   - runs in inference mode: row i out depends on row i in, and on nothing that happened before;
#   - never changes its inputs and keeps no reference to them; they may be read-only and strided;
#   - raises ModelRaised, with the cause chained, when the model fails for what it was given, and
#     BackendFailed when the engine breaks this contract.
# Loading and executing may happen on different threads, one after the other.
# close() releases what load took; nothing is called after it, except close() again.
class Backend(Protocol):
    """A loaded model, ready to execute micro-batches of the bucket sizes."""

    @property
    def signature(self) -> Signature:
        """The inputs and outputs as requests name them."""
        ...

    @property
    def engine(self) -> str:
        """The engine's name and version, such as ``tensorflow 2.21.0``."""
        ...

    def execute(self, inputs: Tensors) -> Tensors:
        """Executes one padded micro-batch.

        Args:
            inputs: by name; axis 0 of each is one of the buckets.

        Raises:
            ValueError: the inputs do not fit the signature or are no bucket.
            BackendFailed: the model failed.
        """
        ...

    def close(self) -> None:
        """Releases the model."""
        ...


@runtime_checkable
class Looping(Protocol):
    """A backend that knows whether its model has loops, which may go on for ever for some row."""

    @property
    def has_loops(self) -> bool:
        """Whether an execution may never end."""
        ...


@runtime_checkable
class Shrinking(Protocol):
    """A backend whose buckets take memory each."""

    def keep_buckets(self, buckets_rows: Collection[int]) -> None:
        """Releases all other buckets, which are never executed again, and what these can spare."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A backend whose model has variables that it can show."""

    def state_digest(self) -> str:
        """SHA-256 over the names and values of all variables, in hexadecimal."""
        ...


def batch_rows(signature: Signature, inputs: Tensors, buckets_rows: Collection[int]) -> int:
    """Returns the row count of a micro-batch, which is one of ``buckets_rows``.

    Raises:
        ValueError: the inputs do not fit the signature or their row count is no bucket.
    """
    try:
        rows = signature.check(inputs)
    except InvalidInput as invalid:
        raise ValueError(str(invalid)) from invalid
    if rows not in buckets_rows:
        known = ", ".join(map(str, sorted(buckets_rows)))
        raise ValueError(f"the micro-batch has {rows} rows, expected one of the buckets {known}")
    return rows
