"""Panels of a Grafana dashboard in the classic JSON, built from tables of rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_LETTERS = "ABCDEFGH"  # Grafana's names of a panel's queries


# From legend, which may name labels as {{label}}, to PromQL expression; "" leaves it to Grafana.
Queries = Mapping[str, str]
# Title, description, queries, and the settings that are not those of the whole table.
Row = tuple[str, str, Queries, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without its place.

    Args:
        width: of 24 columns.
        unit: Grafana's name of the unit: ``s``, ``percentunit``, ``reqps``, ``short``, ``bytes``.
        limits: at which value which colour begins; the least is ``None``.
        no_value: what stands there when there is none.
        instant: asks for the last value only, as stat, bar and table panels do.
    """

    kind: str
    title: str
    description: str
    queries: Queries
    width: int = 8
    height: int = 8
    unit: str = "short"
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    no_value: str | None = None
    limits: Sequence[tuple[float | None, str]] = ((None, "green"),)
    instant: bool = False
    custom: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    transformations: Sequence[Json] = ()

    def json(self, number: int, column: int, line: int) -> Json:
        """The panel at its place on the grid."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": {"h": self.height, "w": self.width, "x": column, "y": line},
            "datasource": DATASOURCE,
            "targets": [
                self._target(letter, *query)
                for letter, query in zip(_LETTERS, self.queries.items(), strict=False)
            ],
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self.overrides)},
            "options": dict(self.options),
            "transformations": list(self.transformations),
        }

    def _target(self, letter: str, legend: str, expression: str) -> Json:
        is_table = self.kind in ("table", "barchart")
        return {
            "refId": letter,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": expression,
            "legendFormat": legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if is_table else "time_series",
        }

    def _defaults(self) -> Json:
        steps = [{"value": value, "color": color} for value, color in self.limits]
        given = {
            "decimals": self.decimals,
            "min": self.minimum,
            "max": self.maximum,
            "noValue": self.no_value,
        }
        return {
            "unit": self.unit,
            "color": {"mode": "thresholds" if self.kind == "stat" else "palette-classic"},
            "thresholds": {"mode": "absolute", "steps": steps},
            "custom": dict(self.custom),
            "mappings": [],
            **{key: value for key, value in given.items() if value is not None},
        }


def panels(build: Callable[..., Panel], rows: Iterable[Row], **shared: Any) -> tuple[Panel, ...]:
    """One panel for each row of a table, of the kind that ``build`` makes.

    ``shared`` are the settings of every panel whose row says nothing else.
    """
    return tuple(
        build(title, description, queries, **{**shared, **own})
        for title, description, queries, own in rows
    )


def stat(
    title: str, description: str, queries: Queries, *, has_names: bool = False, **settings: Any
) -> Panel:
    """The last value, large; one for each series, with its legend if that ``has_names``."""
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name" if has_names else "auto",
    }
    return Panel("stat", title, description, queries, options=options, **{"height": 4, **settings})


def lines(
    title: str,
    description: str,
    queries: Queries,
    *,
    is_stacked: bool = False,
    has_limit_lines: bool = False,
    usual_maximum: float | None = None,
    **settings: Any,
) -> Panel:
    """Values over time; the axis reaches ``usual_maximum`` also when all are smaller."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 60 if is_stacked else 10,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if has_limit_lines else "off"},
        **({} if usual_maximum is None else {"axisSoftMax": usual_maximum}),
    }
    return Panel(
        "timeseries",
        title,
        description,
        queries,
        custom=custom,
        options=_legend(sort="desc"),
        **settings,
    )


def bars(title: str, description: str, queries: Queries, *, by: str, **settings: Any) -> Panel:
    """Values side by side for each value of the label ``by``; a query's legend names its bars."""
    options = {
        "xField": by,
        "orientation": "vertical",
        "showValue": "never",
        "stacking": "none",
        "groupWidth": 0.8,
        "barWidth": 0.9,
        **_legend(sort="none"),
    }
    return Panel(
        "barchart",
        title,
        description,
        queries,
        instant=True,
        custom={"fillOpacity": 80, "lineWidth": 1},
        options=options,
        transformations=[_join(by), _organize(_columns(queries), hidden=("Time", "bin"))],
        **settings,
    )


def table(title: str, description: str, queries: Queries, *, by: str, **settings: Any) -> Panel:
    """One line for each value of the label ``by``; a query's legend names its column."""
    return Panel(
        "table",
        title,
        description,
        queries,
        instant=True,
        custom={"align": "auto", "cellOptions": {"type": "auto"}},
        options={"showHeader": True, "cellHeight": "sm"},
        transformations=[_join(by), _organize(_columns(queries), hidden=("Time",))],
        **settings,
    )


def named(series: str, **properties: Any) -> Json:
    """An override for the series of one legend."""
    return {
        "matcher": {"id": "byName", "options": series},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def colored(colors: Mapping[str, str]) -> tuple[Json, ...]:
    """Overrides that give the series of each legend its colour."""
    return tuple(
        named(series, color={"mode": "fixed", "fixedColor": color})
        for series, color in colors.items()
    )


def _legend(*, sort: str) -> Json:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": sort},
    }


def _columns(queries: Queries) -> dict[str, str]:
    """From Grafana's name of each query's column to its legend; a lone query has no letter."""
    if len(queries) == 1:
        return {"Value": next(iter(queries))}
    return {f"Value #{letter}": legend for letter, legend in zip(_LETTERS, queries, strict=False)}


def _join(by: str) -> Json:
    return {"id": "joinByField", "options": {"byField": by, "mode": "outer"}}


def _organize(names: Mapping[str, str], hidden: Sequence[str]) -> Json:
    # A join numbers the columns that its tables share.
    numbered = [f"{name} {number}" for name in hidden for number in range(1, 9)]
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys([*hidden, *numbered], True),
            "renameByName": dict(names),
        },
    }
