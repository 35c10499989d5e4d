"""Tables with a row for each class: all of a few, and of many those that matter."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.classes import choose_lowest

MOST_IN_FULL: Final = 25
_MOST_NAMED: Final = 20


class Counted(Protocol):
    """A class with its counts."""

    @property
    def label(self) -> str:
        """Its name."""

    @property
    def answered(self) -> int:
        """Pictures that are answered with it."""


Each = TypeVar("Each", bound=Counted)


@dataclass(frozen=True, slots=True)
class ClassTable(Generic[Each]):
    """What a table of classes has.

    Attributes:
        headings: of the columns.
        cells: those of a row after its name, for the classes that it is of.
        counted: how many pictures of a class are right, and of how many.
        absent: what is said of classes that have none.
    """

    headings: tuple[str, ...]
    cells: Callable[[Sequence[Each]], tuple[str, ...]]
    counted: Callable[[Each], tuple[int, int]]
    absent: str = "have no pictures here"

    def lines(
        self, classes: Sequence[Each], last: Sequence[tuple[str, ...]] = (), *, verbose: bool
    ) -> Iterator[str]:
        """The table, and what it leaves out.

        Args:
            classes: in their order.
            last: rows at the end.
            verbose: names every class.
        """
        if verbose or len(classes) <= MOST_IN_FULL:
            rows = [self._row(each) for each in classes]
            yield from table([self.headings, *rows, *last])
            return
        chosen = choose_lowest(classes, self.counted, _MOST_NAMED)
        rows = [self._row(each) for each in chosen.shown]
        if chosen.others:
            rows.append((f"the {len(chosen.others):,} others", *self.cells(chosen.others)))
        yield from table([self.headings, *rows, *last])
        yield (
            f"  Of {len(classes):,} the {len(chosen.shown)} with the lowest share of right "
            "pictures, by the upper end of its interval"
        )
        yield "  (95 %), so that many pictures count for more than few; --verbose names all."
        if chosen.absent:
            yield f"  {len(chosen.absent):,} {self.absent}{_answered(chosen.absent)}."

    def _row(self, each: Each) -> tuple[str, ...]:
        return each.label, *self.cells([each])


def _answered(absent: Sequence[Counted]) -> str:
    answered = sum(each.answered for each in absent)
    return f"; {answered:,} pictures are answered with one of them" if answered else ""


def share_text(part: int, whole: int, form: str = ".2%") -> str:
    """A share, or that there is none."""
    return format(part / whole, form) if whole else "-"
