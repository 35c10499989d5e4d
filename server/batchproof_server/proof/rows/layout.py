"""Where the rows are in a tensor, and what reshaping does to them. Pure arithmetic.

A tensor carries rows when each of its elements depends on one row of the input at most, and which
one follows from the element's index along one axis::

    row = (index // inner) % rows_count        size of that axis = outer * rows_count * inner

A plain batch has axis 0 and outer = inner = 1. Merging axes, tiling and concatenating change these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

# None for an axis of unknown size; None alone for an unknown rank.
Shape: TypeAlias = tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The axis that carries the rows.

    Attributes:
        axis: from the front; in a list of tensors, that of its elements.
        outer: how often the whole batch repeats along the axis.
        inner: neighbouring indices that belong to one row; None when it is not known.
    """

    axis: int
    outer: int = 1
    inner: int | None = 1

    @property
    def plain(self) -> bool:
        """One index for each row, as answers need it."""
        return self == Rows(0)

    def __str__(self) -> str:
        along = f"along axis {self.axis}"
        if self.inner is None:
            return f"somewhere {along}"
        repeated = f", {self.outer} times over" if self.outer > 1 else ""
        indices = f"{self.inner} neighbouring indices" if self.inner > 1 else "one index"
        return f"{along} with {indices} each{repeated}"

    def at(self, axis: int) -> "Rows":
        """The same pattern along another axis."""
        return replace(self, axis=axis)


@dataclass(frozen=True, slots=True, order=True)
class Cause:
    """An operation at which rows met.

    Attributes:
        rule_id: of the rule that it breaks.
        where: the operation's name.
        detail: what it does, as one sentence.
    """

    rule_id: str
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a tensor.

    Attributes:
        rows: None when no axis tells rows apart.
        causes: where rows met on the way here. Without rows and causes it depends on no row.
    """

    rows: Rows | None = None
    causes: frozenset[Cause] = field(default_factory=frozenset)

    @property
    def free(self) -> bool:
        """Whether it depends on no row at all."""
        return self.rows is None and not self.causes

    @property
    def lost(self) -> bool:
        """Whether it is not known where its rows lie, so that nothing can be held against it."""
        if self.rows is None:
            return any(cause.rule_id == "BP305" for cause in self.causes)
        return self.rows.inner is None


FREE = Value()


def reshaped(rows: Rows, count: int, old: Shape, new: Shape) -> Rows | None:
    """Follows the rows through a change of shape which keeps the order of the elements.

    Args:
        rows: where they are before.
        count: rows in the batch, 2 or more.
        old: the shape before.
        new: the shape after.

    Returns:
        None where they are spread over several axes, or sizes are unknown.
    """
    if old is None or new is None:
        return None
    old = _known_by_rows(rows, count, old)
    new = _known_by_elements(old, new)
    before = _product((*old[: rows.axis], rows.outer * count))
    return None if before is None else _by_prefix(before, count, new)


def _known_by_rows(rows: Rows, count: int, shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """A shape with the size of the axis that carries the rows, which the rows tell."""
    size = None if rows.inner is None else rows.outer * count * rows.inner
    return (*shape[: rows.axis], shape[rows.axis] or size, *shape[rows.axis + 1 :])


def _known_by_elements(
    old: Sequence[int | None], new: Sequence[int | None]
) -> tuple[int | None, ...]:
    """A new shape whose only unknown size follows from the number of elements."""
    elements, rest = _product(old), _product([size for size in new if size is not None])
    if elements is None or not rest or list(new).count(None) != 1 or elements % rest:
        return tuple(new)
    return tuple(elements // rest if size is None else size for size in new)


def _by_prefix(blocks: int, count: int, new: Sequence[int | None]) -> Rows | None:
    """Cuts ``new`` into ``blocks`` equal pieces, counted from the front."""
    for axis, size in enumerate(new):
        passed = _product(new[:axis])
        if passed is None or passed == 0 or blocks % passed:
            return None
        pieces = blocks // passed
        if size is None:
            # A first axis of unknown size that begins with the rows holds whole rows.
            return Rows(axis, pieces // count, None) if pieces % count == 0 else None
        if size % pieces == 0 and pieces % count == 0:
            return Rows(axis, pieces // count, size // pieces)
    return None


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def fits(rows: Rows, count: int, shape: Shape) -> bool:
    """Whether a shape can carry rows in this way; guards against a wrong conclusion before."""
    if shape is None:
        return True  # whoever needs the rank will say that it is not known
    if not 0 <= rows.axis < len(shape):
        return False
    size = shape[rows.axis]
    if size is None or rows.inner is None:
        return True
    return size == rows.outer * count * rows.inner


def sliced(rows: Rows, count: int, start: int, size: int) -> Rows | None:
    """Follows the rows through a piece of the axis that carries them.

    Returns:
        None unless the piece consists of whole batches.
    """
    batch = count * (rows.inner or 0)
    if not batch or start % batch or size % batch or not size:
        return None
    return replace(rows, outer=size // batch)


def broadcast(rows: Rows, rank: int, shape: Sequence[int | None]) -> Rows:
    """The rows of an operand in the coordinates of the result, which has ``rank`` axes."""
    return rows.at(rows.axis + rank - len(shape))
