"""What a scenario found: tables and charts as plain values, which JSON and the page are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

SCHEMA: Final = "batchproof.benchmarks/2"
Cell: TypeAlias = str | float | None
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Table:
    """Rows under column heads; a ratio stands beside the figures that it is of."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, expected {len(self.columns)}: {row}")


@dataclass(frozen=True)
class Chart:
    """Lines through points; ``file`` is the picture's name without a suffix."""

    file: str
    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Point]]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Outcome:
    """Of one scenario.

    Attributes:
        title: a sentence without a full stop.
        how: what was done, for whoever reads the figures.
        aims: each a sentence, its figure, its limit, and whether more is better.
    """

    title: str
    how: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    aims: tuple["Aim", ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Aim:
    """What a figure should be."""

    text: str
    figure: float
    limit: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit


def outcome_from_json(values: Mapping[str, Any]) -> Outcome:
    """The reverse of ``Outcome.as_json``.

    Raises:
        KeyError, TypeError, ValueError: it is no outcome.
    """
    return Outcome(
        title=values["title"],
        how=values["how"],
        tables=tuple(
            Table(each["caption"], tuple(each["columns"]), tuple(map(tuple, each["rows"])))
            for each in values["tables"]
        ),
        charts=tuple(Chart(**each) for each in values["charts"]),
        aims=tuple(Aim(**each) for each in values["aims"]),
    )
