"""Which requests are traced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.observing.traces.sampling import Sampling
from support.fakes import FakeClock

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NANOSECONDS = 1_700_000_000_000_000_000


def sampling(share: float, *, callers_decide: bool = True) -> Sampling:
    return Sampling(
        share, callers_decide=callers_decide, clock=FakeClock(), now_ns=lambda: NANOSECONDS
    )


def parent(flags: str = "01", trace: str = TRACE) -> tuple[tuple[str, str], ...]:
    return (("x-other", "1"), ("traceparent", f"00-{trace}-{CALLER}-{flags}"))


def test_the_trace_of_a_caller_goes_on() -> None:
    spans = sampling(0.0).begin((*parent(), ("tracestate", "a=1,b=2")))

    assert spans is not None
    assert (spans.trace, f"{spans.parent_span_id:016x}") == (TRACE, CALLER)
    assert spans.trace_state == "a=1,b=2"
    assert spans.span_id not in {0, spans.parent_span_id}
    assert spans.at_ns(spans.started_s + 0.5) == NANOSECONDS + 500_000_000


@pytest.mark.parametrize(
    ("flags", "share", "decides", "is_sampled"),
    [
        ("01", 0.0, "caller", True),
        ("00", 1.0, "caller", False),
        ("01", 0.0, "share", False),
        ("00", 1.0, "share", True),
    ],
)
def test_the_caller_or_the_share_decides(
    flags: str,
    share: float,
    decides: str,
    is_sampled: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    begun = sampling(share, callers_decide=decides == "caller").begin(parent(flags))

    assert (begun is not None) is is_sampled
    assert begun is None or begun.trace == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "junk",
        b"\xff",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        f"00-{TRACE.upper()}-{CALLER}",
        "0" * 5_000,
    ],
    ids=["empty", "junk", "bytes", "trace 0", "span 0", "version", "long", "short", "huge"],
)
def test_what_is_no_context_is_as_none(value: str | bytes) -> None:
    metadata = (("traceparent", value), ("tracestate", "a=1"))

    assert sampling(0.0).begin(metadata) is None
    spans = sampling(1.0).begin(metadata)
    assert spans is not None
    assert (spans.parent_span_id, spans.trace_state) == (0, "")
    assert spans.trace_id != 0


@given(st.text(), st.text())
def test_no_text_of_a_caller_raises(context: str, state: str) -> None:
    sampling(0.5).begin((("traceparent", context), ("tracestate", state)))
    sampling(0.5).begin((*parent(), ("tracestate", state)))


def test_without_a_caller_the_share_is_kept_and_nothing_or_all_are_exact() -> None:
    assert not any(sampling(0.0).begin(()) for _ in range(100))
    assert all(sampling(1.0).begin(()) for _ in range(100))
    half = sampling(0.5)
    assert 350 < sum(half.begin(()) is not None for _ in range(1_000)) < 650


@given(st.integers(1, 2**128 - 1))
def test_services_with_the_same_share_decide_alike_about_a_trace(trace_id: int) -> None:
    one, other = (sampling(0.3, callers_decide=False) for _ in range(2))
    metadata = parent(trace=f"{trace_id:032x}")

    assert (one.begin(metadata) is None) is (other.begin(metadata) is None)
