"""A Grafana dashboard in the classic JSON, schema version 41: Grafana 11.6, 12 and 13 load it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitoring.panels import DATASOURCE, Json, Panel

_COLUMNS = 24
_SCHEMA_VERSION = 41


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice above the panels, whose values a query finds; ``pattern`` cuts them out."""

    name: str
    label: str
    query: str
    pattern: str = ""
    has_all: bool = False

    def json(self) -> Json:
        """The variable as Grafana stores it."""
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": DATASOURCE,
            "query": {"query": self.query, "refId": "variable"},
            "regex": self.pattern,
            "refresh": 2,
            "sort": 3,
            "multi": self.has_all,
            "includeAll": self.has_all,
            "hide": 0,
            "options": [],
            **({"current": {"text": "All", "value": "$__all"}} if self.has_all else {}),
        }


@dataclass(frozen=True, slots=True)
class Section:
    """A row with a title and the panels below it, set from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard with a stable identity, so that links to it live."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable]
    sections: Sequence[Section]

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.json(), indent=1, ensure_ascii=False) + "\n"

    def json(self) -> Json:
        """The dashboard as Grafana stores it."""
        return {
            "id": None,
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["batchproof"],
            "schemaVersion": _SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "",
            "refresh": "10s",
            "time": {"from": "now-30m", "to": "now"},
            "timepicker": {},
            "fiscalYearStartMonth": 0,
            "annotations": {"list": []},
            "links": [_LINK],
            "templating": {"list": [_DATASOURCE_VARIABLE, *(v.json() for v in self.variables)]},
            "panels": list(_placed(self.sections)),
        }


_LINK: Json = {
    "type": "dashboards",
    "title": "batchproof",
    "tags": ["batchproof"],
    "asDropdown": False,
    "icon": "external link",
    "includeVars": False,
    "keepTime": True,
    "targetBlank": False,
    "tooltip": "",
    "url": "",
}
_DATASOURCE_VARIABLE: Json = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "multi": False,
    "includeAll": False,
    "hide": 0,
    "options": [],
}


def _placed(sections: Sequence[Section]) -> Iterator[Json]:
    number, line = 1, 0
    for section in sections:
        yield _row(section.title, number, line)
        number, line, column, tallest = number + 1, line + 1, 0, 0
        for panel in section.panels:
            if column + panel.width > _COLUMNS:
                line, column, tallest = line + tallest, 0, 0
            yield panel.json(number, column, line)
            number, column, tallest = number + 1, column + panel.width, max(tallest, panel.height)
        line += tallest


def _row(title: str, number: int, line: int) -> Json:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": line},
        "panels": [],
    }
