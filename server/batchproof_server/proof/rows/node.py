"""What the row analysis sees of an operation, and what it says about one. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from batchproof_server.proof.rows.layout import Rows, Shape, Value


class Node(Protocol):
    """One operation of a graph whose shapes are inferred."""

    @property
    def kind(self) -> str:
        """The operation's type, such as ``MatMul``."""
        ...

    @property
    def count(self) -> int:
        """Rows in the batch, 2 or more."""
        ...

    @property
    def input_shapes(self) -> Sequence[Shape]:
        """Of each input."""
        ...

    @property
    def output_shapes(self) -> Sequence[Shape]:
        """Of each output."""
        ...

    def attr(self, name: str) -> Any:
        """An attribute, with TensorFlow's default where it is left out."""
        ...

    def static(self, index: int) -> np.ndarray[Any, Any] | None:
        """The value of an input, if it is a constant."""
        ...

    def uniform(self, index: int, rows: Rows) -> bool | None:
        """Whether an input that depends on no row has the same values for each row.

        Returns:
            None when it cannot be told.
        """
        ...


@dataclass(frozen=True, slots=True)
class RowsVerdict:
    """Where the rows are in an output, and the rule that the operation breaks, if any.

    Attributes:
        rows: None when no axis tells rows apart.
        rule_id: None when rows stay apart.
        detail: what the operation does, as one sentence.
    """

    rows: Rows | None = None
    rule_id: str | None = None
    detail: str = ""


# For all outputs alike, or one for each.
Outcomes: TypeAlias = RowsVerdict | Sequence[RowsVerdict]
# Called only when at least one input carries rows.
Transfer: TypeAlias = Callable[[Node, Sequence[Value]], Outcomes]


def undecided(detail: str) -> RowsVerdict:
    """The audit cannot tell."""
    return RowsVerdict(None, "BP305", detail)


def kept(rows: Rows | None, unclear: str) -> RowsVerdict:
    """Rows that were followed, or not."""
    return undecided(unclear) if rows is None else RowsVerdict(rows)


def kinds(names: str) -> tuple[str, ...]:
    """Types of operations, written with spaces between them."""
    return tuple(names.split())


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis


def rank_of(shape: Shape) -> int | None:
    """The number of axes, if it is known."""
    return None if shape is None else len(shape)


def aligned(node: Node, index: int, rows: Rows) -> RowsVerdict:
    """Checks constants which meet rows along an axis: each row must meet the same ones.

    Args:
        node: the operation.
        index: of the input that depends on no row.
        rows: where the rows are, in the coordinates of that input.
    """
    shape = node.input_shapes[index]
    if shape is None:
        return RowsVerdict(rows, "BP305", "meets constants of unknown shape")
    if not 0 <= rows.axis < len(shape) or shape[rows.axis] == 1:
        return RowsVerdict(rows)
    same = node.uniform(index, rows)
    if same:
        return RowsVerdict(rows)
    if same is None:
        return RowsVerdict(rows, "BP305", "meets values that may differ from row to row")
    return RowsVerdict(rows, "BP306", "meets other constants at each row")


def first_input(node: Node, values: Sequence[Value]) -> tuple[Rows, tuple[int | None, ...]] | None:
    """The rows and the shape of the first input, if both are known.

    None too where another input carries rows: what should be the same for all depends on some.
    """
    rows, shape = values[0].rows, node.input_shapes[0]
    if any(value.rows is not None for value in values[1:]):
        return None
    return None if rows is None or shape is None else (rows, shape)


UNKNOWN: Final = undecided("works on a tensor whose shape or layout is unknown")
