"""What the user types, and what a run is judged by."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_client import LocalInputError
from batchproof_client.loadtest.arrivals import WARM_UP_STEP, Burst, Phase
from batchproof_client.loadtest.histogram import Histogram
from batchproof_client.loadtest.identical import Difference
from batchproof_client.loadtest.objective import Objective, error_share, parse_objectives
from batchproof_client.loadtest.rates import parse_burst, parse_rate, warmed_up
from batchproof_client.loadtest.record import Sample, Tally
from batchproof_client.loadtest.search import Search
from batchproof_client.loadtest.settings import Judgement
from batchproof_client.loadtest.summary import bottleneck
from batchproof_client.loadtest.target import Outcome
from batchproof_client.loadtest.units import duration, parse_duration_s, parse_share, rate
from batchproof_client.loadtest.verdict import IdentityFinding, judge, kept

STRICT = Judgement(
    objectives=(Objective(90, 0.05),),
    find_max=False,
    precision=0.05,
    most_errors=0.1,
    send_lag_s=0.01,
    check_identical=True,
)


def tally(*, quick: int = 0, slow: int = 0, failed: int = 0, lag_s: float = 0.0) -> Tally:
    found = Tally()
    for count, done_s, code in ((quick, 0.01, "OK"), (slow, 1.0, "OK"), (failed, 0.0, "INTERNAL")):
        for _ in range(count):
            found.record(Sample(0.0, lag_s, lag_s + done_s, 0, 1, Outcome(code)))
    return found


def test_rates_are_read() -> None:
    assert parse_rate("100", 5) == (Phase(5, 100, 100),)
    assert parse_rate("2.5..10", 5) == (Phase(5, 2.5, 10),)
    assert parse_rate("50..200/4", 8) == tuple(
        Phase(2, rate_hz, rate_hz, step) for step, rate_hz in enumerate((50, 100, 150, 200))
    )
    assert parse_rate("30..10/2", 2) == (Phase(1, 30, 30, 0), Phase(1, 10, 10, 1))
    assert parse_burst("200@5") == Burst(200, 5.0)


def test_the_warm_up_comes_first_at_the_first_rate() -> None:
    phases = parse_rate("10..20", 5)
    assert warmed_up(phases, 2.0) == (Phase(2, 10, 10, WARM_UP_STEP), *phases)
    assert warmed_up(phases, 0.0) == phases


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "", "nan", "inf", "1..", "1..0", "1..2/1", "1..2/x", "1..2/3/4"]
)
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LocalInputError, match="rate is"):
        parse_rate(text, 5)


def test_a_rate_that_changes_needs_an_end() -> None:
    with pytest.raises(LocalInputError, match="expected a --duration"):
        parse_rate("1..2", math.inf)


@pytest.mark.parametrize("text", ["", "5", "0@5", "5@0", "x@1", "1@x", "-1@2"])
def test_a_burst_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LocalInputError, match="burst is"):
        parse_burst(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500us", 5e-4), ("50ms", 0.05), ("10", 10), ("10s", 10), ("2m", 120), ("1h", 3600), ("0", 0)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text, "it") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "-1s", "nan", "inf", "5 parsecs", "1ss", "ms"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LocalInputError, match=r'it is ".*", expected a time'):
        parse_duration_s(text, "it")


def test_shares_are_read() -> None:
    assert (parse_share("1%", "it"), parse_share("0.5", "it")) == (0.01, 0.5)
    for text in ("x", "101%", "-1%", "2", ""):
        with pytest.raises(LocalInputError, match="expected a share"):
            parse_share(text, "it")


def test_figures_have_three_digits_and_a_unit() -> None:
    figures = [duration(s) for s in (0.0, 12e-6, 0.0123456, 1.5, 75.25, 123.4, math.nan)]
    assert figures == ["0 µs", "12 µs", "12.3 ms", "1.5 s", "75.2 s", "123 s", ""]
    assert [rate(hz) for hz in (0.5, 12.34, 1234.5)] == ["0.5/s", "12.3/s", "1234/s"]


def test_objectives_are_read() -> None:
    assert parse_objectives("p99=50ms, p50=1s") == (Objective(99, 0.05), Objective(50, 1.0))
    assert str(Objective(99.9, 0.05)) == "p99.9 within 50 ms"
    for text in ("", "p99", "p0=1s", "p99=0", "p100=1s", "latency=1s", "p99=x"):
        with pytest.raises(LocalInputError, match="slo is"):
            parse_objectives(text)


def test_an_error_never_keeps_an_objective() -> None:
    objective = Objective(90, 0.05)
    assert objective.held(tally(quick=90, slow=10))
    assert not objective.held(tally(quick=89, slow=11))
    assert not objective.held(tally(quick=89, failed=11))
    assert not objective.held(Tally())
    assert error_share(tally(quick=3, failed=1)) == 0.25
    assert error_share(Tally()) == 1.0


@given(st.integers(1, 999), st.sampled_from([100, 1000, 2000]))
def test_what_lies_exactly_on_a_limit_keeps_it(permille: int, requests: int) -> None:
    late = requests - requests * permille // 1000
    exact = requests * permille % 1000 == 0
    found = Tally()
    found.codes.update(OK=requests - late, INTERNAL=late)
    if exact:
        assert error_share(found) <= late / requests
    found.histograms["latency"] = _Counted(requests - late)
    (objective,) = parse_objectives(f"p{permille / 10:.1f}=50ms")
    assert objective.held(found) == exact


class _Counted(Histogram):
    """As if so many durations had been counted, all of them short."""

    def __init__(self, within: int) -> None:
        super().__init__()
        self._within = within

    def count_within(self, limit_s: float) -> int:
        del limit_s
        return self._within


def test_a_run_is_judged_by_what_it_kept() -> None:
    assert judge(STRICT, tally(quick=10), "").exit_code == 0
    late = judge(STRICT, tally(quick=5, slow=5), "")
    assert late.exit_code == 1
    assert late.reasons == (
        "p90 within 50 ms missed: 50.00% of all requests were answered within 50 ms",
    )
    failed = judge(STRICT, tally(quick=50, failed=7), "")
    assert "12.28% of the requests were not answered, expected 10.00% at most" in failed.reasons
    assert judge(STRICT, Tally(), "").reasons == ("no request was measured",)
    assert kept(STRICT, tally(quick=10))
    assert not kept(STRICT, tally(slow=10))


def test_a_late_client_excuses_the_server_but_not_its_different_answers() -> None:
    limited = judge(STRICT, tally(slow=10), "it was slow")
    assert (limited.exit_code, limited.client_limited) == (3, "it was slow")
    assert limited.reasons[0] == "the client was the bottleneck: it was slow"
    different = IdentityFinding(10, 4, (Difference("a", "m", 2, (9, 1), ((), ()), None),))
    fickle = judge(STRICT, tally(quick=10), "it was slow", identity=different)
    assert fickle.exit_code == 1
    assert fickle.reasons[0] == "1 of 4 inputs got more than one answer"


def test_nothing_compared_is_no_proof() -> None:
    none = IdentityFinding(0, 0, ())
    assert judge(STRICT, tally(quick=10), "", identity=none).exit_code == 1
    fine = IdentityFinding(10, 4, ())
    assert judge(STRICT, tally(quick=10), "", identity=fine).exit_code == 0


def test_an_interrupted_run_says_so_first() -> None:
    verdict = judge(STRICT, tally(slow=10), "", interrupted=True)
    assert verdict.exit_code == 130
    assert verdict.reasons[0] == "stopped before its end"


def test_the_client_is_the_bottleneck_when_it_is_late_or_never_idle() -> None:
    assert bottleneck(tally(quick=10, lag_s=0.001), (0.5,), 0.01) == ""
    assert "left 20.0 ms late" in bottleneck(tally(quick=10, lag_s=0.02), (0.5,), 0.01)
    assert "busy 95%" in bottleneck(tally(quick=10), (0.2, 0.95), 0.01)
    assert bottleneck(Tally(), (), 0.01) == ""


@given(st.floats(0.1, 1e5), st.floats(0.1, 1e5), st.sampled_from([0.02, 0.05, 0.5]))
def test_the_search_ends_just_below_the_highest_rate_that_holds(
    start_hz: float, limit_hz: float, precision: float
) -> None:
    search = Search(start_hz, precision)
    while (rate_hz := search.next_hz()) is not None:
        search = search.after(rate_hz, held=rate_hz <= limit_hz)

    assert search.held_hz <= limit_hz < search.broken_hz
    assert search.broken_hz <= search.held_hz * (1 + precision)


def test_a_search_without_a_rate_that_holds_or_breaks_ends_too() -> None:
    never, always = Search(10.0), Search(10.0)
    while (rate_hz := never.next_hz()) is not None:
        never = never.after(rate_hz, held=False)
    while (rate_hz := always.next_hz()) is not None:
        always = always.after(rate_hz, held=True)

    assert (never.held_hz, math.isfinite(never.broken_hz)) == (0.0, True)
    assert (always.held_hz > 1e9, math.isinf(always.broken_hz)) == (True, True)
    assert judge(STRICT, Tally(), "", search=never).exit_code == 1
    assert judge(STRICT, Tally(), "", search=always).exit_code == 0
    assert judge(STRICT, Tally(), "", search=Search(1.0)).exit_code == 0
