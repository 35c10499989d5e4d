"""The report as one HTML file that needs nothing from outside."""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from batchproof.text import PAGE_POLICY, printable
from batchproof_client.loadtest.charts import Axis, Series, line_chart
from batchproof_client.loadtest.session import LoadResult
from batchproof_client.loadtest.settings import Pace
from batchproof_client.loadtest.summary import IntervalSummary, StepSummary
from batchproof_client.loadtest.table import (
    DURATION_HEADINGS,
    STEP_HEADINGS,
    notes,
    overview,
    steps,
    times,
)
from batchproof_client.loadtest.units import duration, rate

_STYLE: Final = """
:root { --ink: #1b1f24; --quiet: #5b6570; --paper: #fff; --line: #dfe3e8; --card: #f6f8fa;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b0578f; --c4: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #98a2ad; --paper: #14171a;
  --line: #2c3238; --card: #1c2024; --c0: #56b4e9; --c1: #ff8c42; --c2: #2fc79a; --c3: #e39ac8;
  --c4: #e0c341; } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 960px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.quiet { color: var(--quiet) }
.verdict { background: var(--card); border-left: 5px solid var(--c2); padding: .6rem 1rem;
  margin: 1rem 0 } .verdict.bad { border-color: var(--c1) } .verdict ul { margin: 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 50% }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap } th { font-weight: 600; color: var(--quiet) }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif }
svg text { fill: var(--quiet) } svg .axis { fill: var(--ink) }
svg .grid { stroke: var(--line); stroke-width: 1 }
svg path { fill: none; stroke-width: 2; stroke-linejoin: round }
path.c0 { stroke: var(--c0) } path.c1 { stroke: var(--c1) } path.c2 { stroke: var(--c2) }
path.c3 { stroke: var(--c3) } path.c4 { stroke: var(--c4) }
circle.c0 { fill: var(--c0) } circle.c1 { fill: var(--c1) } circle.c2 { fill: var(--c2) }
circle.c3 { fill: var(--c3) } circle.c4 { fill: var(--c4) }
"""
_NINES: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)
_READING: Final = (
    "Latency counts from the instant at which a request was due, so a request that had to wait for"
    " its turn shows its wait. Service time counts from its sending."
)
_LATENCY: Final = Axis("latency", duration, may_be_log=True)


def page(result: LoadResult) -> str:
    """Writes the whole page."""
    server = result.address.endpoint.target
    when = result.started_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    parts = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Load on {_shown(server)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Load on {_shown(server)}</h1>",
        f'<p class="quiet">{_shown("; ".join((when, _pace(result), _traffic(result))))}</p>',
        _verdict(result),
        _table(("figure", "value"), overview(result)),
        "<h2>Times</h2>",
        _table(DURATION_HEADINGS, times(result.run.total)),
        f'<p class="quiet">{_READING}</p>',
        *_charts(result),
        "</body></html>",
    )
    return "\n".join(parts) + "\n"


def _shown(text: str) -> str:
    """Text from outside as text of a page: no markup, and nothing that turns a line round."""
    return html.escape(printable(text))


def _pace(result: LoadResult) -> str:
    asked = described(result.settings.pace)
    if result.search is None:
        return asked
    shown = rate(result.run.steps[0].offered_hz) if result.run.steps else "nothing"
    return f"a search from {asked}; the figures are those of {shown}"


def described(pace: Pace) -> str:
    """The load in words."""
    if pace.concurrency:
        parts = [f"closed loop of {pace.concurrency}"]
    else:
        parts = [f"{pace.rate or 0} requests/s, {pace.spacing}"]
    if pace.burst is not None:
        parts.append(f"bursts of {pace.burst.requests} every {duration(pace.burst.period_s)}")
    if math.isfinite(pace.duration_s):
        parts.append(f"for {duration(pace.duration_s)}")
    if pace.count is not None:
        parts.append(f"{pace.count} requests")
    return ", ".join((*parts, f"after {duration(pace.warm_up_s)} of warm-up, seed {pace.seed}"))


def _traffic(result: LoadResult) -> str:
    kinds = result.settings.kinds
    return "; ".join(
        kind.name if len(kinds) == 1 else f"{kind.weight:g} x {kind.name}" for kind in kinds
    )


def _verdict(result: LoadResult) -> str:
    found = notes(result)
    if not found:
        return '<p class="verdict">Nothing to complain about.</p>'
    bad = " bad" if result.verdict.exit_code else ""
    listed = "".join(f"<li>{_shown(note)}" for note in found)
    return f'<div class="verdict{bad}"><ul>{listed}</ul></div>'


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_shown(heading)}" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_shown(cell)}' for cell in row)}</tr>\n" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _charts(result: LoadResult) -> Iterable[str]:
    yield "<h2>Latency over time</h2>"
    yield _over_time(result)
    yield "<h2>Requests over time</h2>"
    yield _rates(result)
    yield "<h2>Latency by percentile</h2>"
    yield _percentiles(result)
    yield "<h2>Latency over throughput</h2>"
    yield _throughput(result)


def _over_time(result: LoadResult) -> str:
    intervals = result.run.intervals
    series = [
        Series("p50", _points(intervals, lambda each: _latency(each, "p50_s")), "c0"),
        Series("p99", _points(intervals, lambda each: _latency(each, "p99_s")), "c1"),
        Series("max", _points(intervals, lambda each: _latency(each, "max_s")), "c3"),
    ]
    return line_chart("latency over time", _time_axis(intervals), _LATENCY, series)


def _rates(result: LoadResult) -> str:
    axis = _time_axis(result.run.intervals)
    intervals = _sending(result.run.intervals)
    series = [
        Series("sent", _points(intervals, lambda each: each.summary.sent_hz), "c0"),
        Series("answered", _points(intervals, lambda each: each.summary.goodput_hz), "c2"),
        Series("errors", _points(intervals, _errors_hz), "c1"),
    ]
    return line_chart("requests over time", axis, Axis("requests", rate), series)


def _sending(intervals: Sequence[IntervalSummary]) -> Sequence[IntervalSummary]:
    """Without the end, in which only the last answers came: it would look like a server at rest."""
    last = max(
        (at for at, each in enumerate(intervals) if each.summary.sent_hz or each.summary.errors),
        default=-1,
    )
    return intervals[: last + 1]


def _errors_hz(interval: IntervalSummary) -> float:
    return interval.summary.errors / interval.summary.duration_s


def _latency(interval: IntervalSummary, percentile: str) -> float:
    return float(getattr(interval.summary.durations["latency"], percentile))


def _points(
    intervals: Sequence[IntervalSummary], figure: Callable[[IntervalSummary], float]
) -> tuple[tuple[float, float], ...]:
    """At the end of each interval, which is when it was counted."""
    return tuple((each.start_s + each.summary.duration_s, figure(each)) for each in intervals)


def _time_axis(intervals: Sequence[IntervalSummary]) -> Axis:
    end_s = max((each.start_s + each.summary.duration_s for each in intervals), default=1.0)
    return Axis(
        "seconds since the start, warm-up included", lambda s: f"{s:g}", bounds=(0.0, end_s)
    )


def _percentiles(result: LoadResult) -> str:
    curve = [point for point in result.run.curve if point.percentile < 100]  # noqa: PLR2004 - percent
    series = [
        Series("latency", tuple((_nines(each.percentile), each.latency_s) for each in curve), "c1"),
        Series(
            "service time", tuple((_nines(each.percentile), each.service_s) for each in curve), "c0"
        ),
    ]
    axis = Axis(
        "percentile",
        lambda nines: f"p{100 * (1 - 10**-nines):.6g}",
        ticks=tuple(_nines(each) for each in _NINES),
    )
    return line_chart("latency by percentile", axis, _LATENCY, series)


def _nines(percentile: float) -> float:
    """0 for p0, 1 for p90, 2 for p99."""
    return -math.log10(1 - percentile / 100)


def _throughput(result: LoadResult) -> str:
    """One point for each step or probe; a run of one step gives one."""
    found = sorted(result.probes or result.run.steps, key=lambda each: each.summary.sent_hz)
    series = [
        Series(name, tuple(_step_point(each, percentile) for each in found), colour)
        for name, percentile, colour in (("p50", "p50_s", "c0"), ("p99", "p99_s", "c1"))
    ]
    axis = Axis("requests sent per second", rate)
    chart = line_chart("latency over throughput", axis, _LATENCY, series)
    return chart + _table(STEP_HEADINGS, steps(found))


def _step_point(step: StepSummary, percentile: str) -> tuple[float, float]:
    latency = step.summary.durations["latency"]
    return step.summary.sent_hz, float(getattr(latency, percentile))
