"""``docs/performance.md`` from the figures and from what was written by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

from results import SCHEMA, Aim, Cell, Outcome, Table, outcome_from_json

HEAD = """\
<!-- Made by `make bench` from docs/performance.json and docs/performance-notes.md. -->

# Performance

The cost of serving compared with the bare model. Every comparison is of medians over interleaved
repeats of one run, and every share is the median of the shares of measurements side by side. Quote
ratios, not milliseconds. Servers and ceilings are on core 0 and the load is on core 1, unless a
scenario says otherwise. Each says at its end on which machine it was measured: they differ.

```console
$ make bench
$ make bench SCENARIOS="a e"
```

The first command takes about 70 minutes. The second measures two scenarios again and keeps the
others.
"""


def page(results: Mapping[str, Any], notes: str) -> str:
    """The page.

    Args:
        results: as ``docs/schemas/benchmarks.schema.json`` says.
        notes: Markdown, set between the aims and the figures.

    Raises:
        KeyError, ValueError: the results are of another form.
    """
    if results["schema"] != SCHEMA:
        raise ValueError(f'the results are "{results["schema"]}", expected "{SCHEMA}"')
    outcomes = {
        letter: (outcome_from_json(each["outcome"]), each)
        for letter, each in sorted(results["scenarios"].items())
    }
    aims = [(letter, aim) for letter, (outcome, _) in outcomes.items() for aim in outcome.aims]
    sections = (_section(letter, outcome, each) for letter, (outcome, each) in outcomes.items())
    return "\n".join((HEAD, _aims(aims), notes.strip() + "\n", *sections))


def _aims(aims: Iterable[tuple[str, Aim]]) -> str:
    rows = tuple(
        (
            aim.text,
            aim.figure,
            f"{'at least' if aim.at_least else 'at most'} {cell(aim.limit)}",
            "yes" if aim.is_met else "**no**",
            f"({letter})",
        )
        for letter, aim in aims
    )
    return "## The aims\n\n" + _table(
        Table("", ("aim", "measured", "wanted", "met", "scenario"), rows)
    )


def _section(letter: str, outcome: Outcome, measured: Mapping[str, Any]) -> str:
    parts = [f"## ({letter}) {outcome.title}\n", f"{outcome.how}\n"]
    parts += [f"{table.caption}:\n\n{_table(table)}" for table in outcome.tables]
    parts += [f"![{chart.title}](images/{chart.file}.svg)\n" for chart in outcome.charts]
    took = f"{measured['duration_s'] / 60:.0f} min" if measured["duration_s"] else "unknown"
    parts.append(f"Commit {measured['commit']}, {measured['measured_at']}, {took}.")
    machine = "; ".join(f"{name} {what}" for name, what in measured["machine"].items())
    parts.append(f"Measured on: {machine}.\n")
    return "\n".join(parts)


def _table(table: Table) -> str:
    head = f"| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}\n"
    lines = (f"| {' | '.join(map(cell, row))} |\n" for row in table.rows)
    return head + "".join(lines)


def cell(value: Cell) -> str:
    """Three digits that count; a dash for what was not measured."""
    if value is None or value == float("inf"):
        return "-"
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"


_WHOLE_FROM = 100
