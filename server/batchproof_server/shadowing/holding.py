"""The answered rows that wait for a shadow. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.selfcheck.choosing import Sampler, turn
from batchproof_server.selfcheck.judging import Answered

SkipReason: TypeAlias = Literal["busy", "too_large", "not_ready", "not_comparable", "failed"]
MOST_ROWS: Final = 64
"""Rows that wait; what is selected beyond them is skipped."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldRow:
    """One row that was answered, in memory of its own.

    Attributes:
        model: its name.
        version: that answered.
        inputs: one row on axis 0.
        outputs: that its caller was given.
        bucket_rows: that the answer came from.
        execution_s: of the micro-batch that the answer came from.
        size_bytes: of inputs and outputs.
    """

    model: str
    version: int
    inputs: Tensors
    outputs: Tensors
    bucket_rows: int
    execution_s: float
    size_bytes: int


# Contract: of n tasks of a model n x share are selected, give or take one, by their number; of each
# one row is copied. At most MOST_ROWS rows of ``max_bytes`` in all are held; they leave in the
# order in which they came.
class HeldRows:
    """Selects rows and keeps them.

    Args:
        share: of the tasks.
        max_bytes: of all rows that are held.
    """

    def __init__(self, share: float, max_bytes: int) -> None:
        self._share = share
        self._max_bytes = max_bytes
        self._held: deque[HeldRow] = deque()
        self._held_bytes = 0
        self._samplers: dict[str, Sampler] = {}
        self._selections = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        """Of all rows that are held."""
        return self._held_bytes

    def offer(
        self, model: str, version: int, task: Answered, bucket_rows: int, execution_s: float
    ) -> SkipReason | None:
        """Learns of an answered task; why it was selected and is not held, or None.

        Args:
            model: that answered.
            version: that answered.
            task: what is kept of it is copied.
            bucket_rows: that were executed.
            execution_s: how long that took.
        """
        if model not in self._samplers:
            self._samplers[model] = Sampler(self._share, f"shadow:{model}")
        if not self._samplers[model].picks():
            return None
        size_bytes = _row_bytes(task.inputs, task.rows) + _row_bytes(task.outputs, task.rows)
        if size_bytes > self._max_bytes:
            return "too_large"
        if len(self._held) == MOST_ROWS or self._held_bytes + size_bytes > self._max_bytes:
            return "busy"
        self._selections += 1
        row = turn("shadow row", self._selections) % task.rows
        inputs, outputs = _copied(task.inputs, row), _copied(task.outputs, row)
        self._held.append(
            HeldRow(model, version, inputs, outputs, bucket_rows, execution_s, size_bytes)
        )
        self._held_bytes += size_bytes
        return None

    def take(self) -> HeldRow:
        """The row that has waited longest; there is one."""
        row = self._held.popleft()
        self._held_bytes -= row.size_bytes
        return row

    def drop(self, model: str) -> None:
        """Forgets the rows of a model."""
        self._held = deque(row for row in self._held if row.model != model)
        self._held_bytes = sum(row.size_bytes for row in self._held)


def _row_bytes(tensors: Tensors, rows: int) -> int:
    return sum(array.nbytes for array in tensors.values()) // rows


def _copied(tensors: Tensors, row: int) -> dict[str, Array]:
    return {name: array[row : row + 1].copy() for name, array in tensors.items()}
