"""What the user gets: JSON with a schema, CSV, one HTML file, tables, and the live view."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console
from rich.live import Live

from batchproof_client import LocalInputError
from batchproof_client.loadtest.arrivals import Burst, ClosedLoop, OpenLoop, Phase
from batchproof_client.loadtest.charts import Axis, Series, even_ticks, line_chart
from batchproof_client.loadtest.compare import compared, read_comparable, same_load
from batchproof_client.loadtest.fleet import Harvest
from batchproof_client.loadtest.histogram import Histogram
from batchproof_client.loadtest.live import LiveView
from batchproof_client.loadtest.page import described, page
from batchproof_client.loadtest.record import Slice
from batchproof_client.loadtest.report import document, read_report, written_csv, written_json
from batchproof_client.loadtest.search import Search
from batchproof_client.loadtest.session import LoadResult
from batchproof_client.loadtest.settings import Pace
from batchproof_client.loadtest.summary import summarise
from batchproof_client.loadtest.table import notes, overview, steps, times
from batchproof_client.loadtest.units import rate
from unit.loadtest.results import PACE, endless, result, slices_of

SCHEMA = Path(__file__).parents[3] / "docs" / "schemas" / "load-report.schema.json"
CLOSED = Pace("", 3, "poisson", None, 6.0, 1.0, 30, 0)
BURSTS = Pace("", 0, "poisson", Burst(5, 2.0), 6.0, 0.0, None, 0)
RESULTS = {
    "steps": result(),
    "search": result(search=Search(20.0, held_hz=20.0, broken_hz=40.0, runs=2)),
    "endless search": result(search=Search(20.0, held_hz=20.0, runs=1)),
    "closed": result(CLOSED),
    "bursts": result(BURSTS),
    "nothing": result(empty=True),
}


@pytest.fixture(params=RESULTS)
def each(request: pytest.FixtureRequest) -> LoadResult:
    """Every kind of result."""
    return RESULTS[request.param]


def test_the_schema_is_one_and_the_report_keeps_it(each: LoadResult) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(written_json(document(each))), schema)


def test_the_figures_add_up() -> None:
    report = document(RESULTS["steps"])
    total = report["total"]

    assert total["requests"] == 240
    assert total["codes"] == {"OK": 216, "RESOURCE_EXHAUSTED": 24}
    assert total["goodput_hz"] == pytest.approx(216 / 6)
    assert [step["offered_hz"] for step in report["steps"]] == [20, 40, 60]
    assert [step["sent_hz"] for step in report["steps"]] == pytest.approx([20, 40, 60])
    assert sum(step["requests"] for step in report["steps"]) == total["requests"]
    assert [each["warm_up"] for each in report["intervals"]] == [True] + [False] * 7
    assert sum(each["requests"] for each in report["intervals"]) == total["requests"] + 20
    assert report["errors"] == {"RESOURCE_EXHAUSTED": "<full>"}


def test_an_interval_in_which_nothing_ended_is_there() -> None:
    silent = RESULTS["steps"].run.intervals[3]
    assert (silent.start_s, silent.summary.requests) == (3.0, 0)
    assert silent.summary.sent_hz > 0
    assert math.isnan(silent.summary.durations["latency"].p50_s)


def test_the_histograms_of_a_report_can_be_read_again() -> None:
    report = document(RESULTS["steps"])
    read = Histogram.decoded(report["histograms"]["latency"].encode())
    figures = report["total"]["durations"]["latency"]
    assert (read.count, read.percentile_s(99)) == (figures["count"], figures["p99_s"])


def test_the_percentile_curve_rises_to_the_maximum() -> None:
    curve = RESULTS["steps"].run.curve
    latencies_s = [point.latency_s for point in curve]
    assert latencies_s == sorted(latencies_s)
    assert curve[-1].latency_s == RESULTS["steps"].run.total.durations["latency"].max_s
    assert RESULTS["nothing"].run.curve == ()


def test_the_csv_has_a_line_for_each_interval(each: LoadResult) -> None:
    lines = list(csv.DictReader(io.StringIO(written_csv(each.run.intervals))))
    assert len(lines) == len(each.run.intervals)
    for line, interval in zip(lines, each.run.intervals, strict=True):
        assert float(line["start_s"]) == interval.start_s
        assert int(line.get("OK", 0)) == interval.summary.codes.get("OK", 0)
        assert (line["latency_p99_s"] == "") == ("OK" not in interval.summary.codes)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_needs_nothing_from_outside_and_escapes_what_others_wrote(
    each: LoadResult,
) -> None:
    written = page(each)
    assert all(line.isprintable() for line in written.split("\n"))
    tags = _Tags()
    tags.feed(written)

    assert not tags.attributes & {"src", "href", "srcset", "action", "xlink:href"}
    assert not {"script", "link", "iframe", "img", "i", "b"} & set(tags.tags)
    assert not re.search(r"https?:|url\(|@import|nan", written)


def test_the_page_has_its_charts() -> None:
    for name in ("steps", "search", "closed"):
        written = page(RESULTS[name])
        for chart in ("latency over time", "latency by percentile", "latency over throughput"):
            assert f'aria-label="{chart}"' in written
        assert written.count("<svg ") == 4


def test_the_page_of_a_search_says_which_rate_its_figures_are_of() -> None:
    offered_hz = RESULTS["search"].run.steps[0].offered_hz
    assert f"a search from {described(RESULTS['search'].settings.pace)}" in page(RESULTS["search"])
    assert f"the figures are those of {rate(offered_hz)}" in page(RESULTS["search"])
    assert "a search" not in page(RESULTS["steps"])


def test_a_page_of_nothing_says_so() -> None:
    assert page(RESULTS["nothing"]).count("nothing was answered") == 4


def test_loads_are_described_in_words() -> None:
    assert described(PACE).startswith(
        "20..60/3 requests/s, constant, for 6 s, after 1 s of warm-up"
    )
    assert described(CLOSED).startswith("closed loop of 3, for 6 s, 30 requests")
    assert "bursts of 5 every 2 s" in described(BURSTS)


def test_a_good_run_has_nothing_to_complain_about() -> None:
    quiet = RESULTS["closed"]
    fine = LoadResult(
        **{name: getattr(quiet, name) for name in quiet.__dataclass_fields__}
        | {
            "identity": None,
            "run": RESULTS["nothing"].run,
            "verdict": type(quiet.verdict)(0, (), ""),
        }
    )
    assert "Nothing to complain about" in page(fine)
    assert notes(fine) == []


def test_the_tables_say_what_happened() -> None:
    figures = {row[0]: row[1] for row in overview(RESULTS["search"])}
    assert figures["OK"] == "216 (90.00%)"
    assert figures["unfinished"] == "3"
    assert figures["micro-batch rows"] == "4: 100%"
    assert (figures["compared"], figures["different"]) == ("10 answers to 2 inputs", "1")
    assert figures["highest rate that held"] == "20/s"
    assert figures["lowest rate that did not"] == "40/s"
    assert [row[0] for row in times(RESULTS["steps"].run.total)][:2] == [
        "latency, from due",
        "service time, from sent",
    ]
    assert [row[-1] for row in steps(RESULTS["steps"].run.steps)] == ["missed"] * 3
    assert "RESOURCE_EXHAUSTED: <full>" in notes(RESULTS["steps"])
    assert notes(RESULTS["steps"])[-1] == (
        "<i>boot\u202e\x1b[2K.png</i>: 2 different answers from m:1, 9x and 1x, at most 1e-07 apart"
    )


def test_two_reports_are_compared_figure_by_figure() -> None:
    first, second = document(RESULTS["steps"]), document(RESULTS["closed"])
    rows = {row[0]: row[1:] for row in compared(first, second)}

    assert rows["sent"][2] == f"{second['total']['sent_hz'] / first['total']['sent_hz']:.3f}"
    assert rows["RESOURCE_EXHAUSTED share"][0] == "10.00%"
    assert {"latency p50", "latency p99.9", "queue delay p99"} <= rows.keys()
    assert not same_load(first, second)
    assert same_load(first, first)
    nothing = compared(first, document(RESULTS["nothing"]))
    assert ("latency p50", rows["latency p50"][0], "", "") in nothing


def test_a_report_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(written_json(document(RESULTS["steps"])))
    assert read_report(path) == document(RESULTS["steps"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("no", "not JSON"),
        ("[]", "expected"),
        ('{"schema": 1}', "expected"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(LocalInputError, match=rf"a\.json: .*{says}"):
        read_report(tmp_path / "a.json")


@pytest.mark.parametrize("total", [None, [], {}, {"sent_hz": "quick"}])
def test_a_report_without_its_figures_is_not_compared(tmp_path: Path, total: Any) -> None:
    content = document(RESULTS["steps"]) | {"total": total}
    (tmp_path / "a.json").write_text(written_json(content))
    with pytest.raises(LocalInputError, match=r"a\.json: figures are missing"):
        read_comparable(tmp_path / "a.json")


def test_ticks_are_round_and_within_the_axis() -> None:
    assert even_ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert even_ticks(0.3, 0.42) == pytest.approx([0.3, 0.35, 0.4])
    assert len(even_ticks(0, 123_456)) <= 8


def test_a_chart_breaks_its_line_where_there_is_no_figure() -> None:
    points = ((0.0, 1.0), (1.0, math.nan), (2.0, 3.0))
    drawn = line_chart("c", Axis("x", str), Axis("y", str), [Series("s", points, "c0")])
    (path,) = re.findall(r'<path class="c0" d="([^"]*)"', drawn)
    assert path.count("M") == 2
    assert drawn.count("<circle") == 3  # two marks and the legend


def test_a_wide_span_becomes_logarithmic_and_one_point_is_drawn() -> None:
    axis = Axis("y", lambda value: f"{value:g}", may_be_log=True)
    wide = line_chart("c", Axis("x", str), axis, [Series("s", ((0, 0.5), (1, 500.0)), "c0")])
    assert re.findall(r'text-anchor="end">([^<]*)<', wide) == ["0.1", "1", "10", "100"]
    lone = line_chart("c", Axis("x", str), axis, [Series("s", ((5.0, 0.0),), "c0")])
    assert "nan" not in lone
    assert lone.count("<circle") == 2


def test_a_single_value_has_a_single_label() -> None:
    drawn = line_chart("c", Axis("x", rate), Axis("y", str), [Series("s", ((197.5, 1.0),), "c0")])
    assert re.findall(r'text-anchor="middle">([^<]*)<', drawn) == ["198/s", "x"]


def test_the_rates_end_with_the_sending() -> None:
    sent_last = OpenLoop((Phase(2.0, 10, 10),), "constant")
    late = [*slices_of(sent_last), Slice(4, 0, 0, 1, {"OK": 1}, {}, {}, {})]
    run = summarise(late, sent_last, 2.0, 1.0)
    assert len(run.intervals) == 5
    drawn = page(replace(RESULTS["steps"], run=run)).partition("Requests over time")[2]
    (sent,) = re.findall(r'<path class="c0" d="([^"]*)"', drawn.partition("</svg>")[0])
    assert sent.count("L") + sent.count("M") == 2


def screen() -> tuple[Live, io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100)
    return Live(console=console, auto_refresh=False), written


def test_the_live_view_shows_the_last_whole_second() -> None:
    live, written = screen()
    arrivals = PACE.arrivals()
    slices = slices_of(arrivals)
    view = LiveView(live)
    view.begin(arrivals)
    with live:
        harvest = Harvest(slices=[piece for piece in slices if piece.interval < 3])
        harvest.in_flight = {0: 3, 1: 4}
        view.look(harvest, 3.6)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())

    for words in ("run 1: constant 20/s to 60/s, 3.6 s", "RESOURCE_EXHAUSTED", "4: 100%"):
        assert words in shown
    assert re.search(r"in flight +7", shown)
    assert re.search(r"sent +20/s", shown)
    assert re.search(r"answered so far +54", shown)


@pytest.mark.parametrize(
    ("arrivals", "title"),
    [
        (ClosedLoop(5, float("inf")), "run 2: 5 callers"),
        (endless(), "run 2: constant 5/s"),
        (OpenLoop((Phase(2, 1, 1),)), "run 2: poisson 1/s"),
    ],
)
def test_the_live_view_begins_with_nothing(arrivals: Any, title: str) -> None:
    live, written = screen()
    view = LiveView(live)
    view.begin(PACE.arrivals())
    view.begin(arrivals)
    with live:
        view.look(Harvest(), -0.1)
    assert title in written.getvalue()
    assert "none" in written.getvalue()


def test_without_a_terminal_nothing_is_shown() -> None:
    view = LiveView(None)
    view.begin(PACE.arrivals())
    harvest = Harvest()
    view.look(harvest, 1.0)
    assert harvest == Harvest()
