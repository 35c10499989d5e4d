"""The series of outcomes: whatever arrives, they tell of the same outcomes."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.errors import (
    AnswerExpired,
    AnswerUnknown,
    InvalidInput,
    OutcomeReported,
    ServingError,
)
from batchproof_server.observing.prometheus.outcomes import OutcomeMetrics
from batchproof_server.outcomes.answered import OutcomeRefusal
from batchproof_server.outcomes.counting import class_bins
from batchproof_server.outcomes.known_labels import OutcomeRecord
from batchproof_server.outcomes.refusals import Outcome, error_of
from batchproof_server.rpc.status import CODES

CLASSES = 25
PAGE = Path(__file__).parents[3] / "docs" / "outcomes.md"

records = st.builds(
    OutcomeRecord,
    model=st.just("m"),
    version=st.sampled_from([1, 2]),
    predicted=st.integers(0, CLASSES - 1),
    true=st.integers(0, CLASSES - 1),
    confidence=st.floats(0, 1),
)


@pytest.fixture
def metrics() -> OutcomeMetrics:
    return counting()


def counting() -> OutcomeMetrics:
    metrics = OutcomeMetrics()
    for version in (1, 2):
        metrics.expect_outcomes("m", version, class_bins([f"c{each}" for each in range(CLASSES)]))
    return metrics


def totals(metrics: OutcomeMetrics, family: str, *by: str) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for metric in metrics.collect():
        for sample in metric.samples:
            if sample.name == f"batchproof_{family}_total":
                found[tuple(sample.labels[each] for each in by)] += sample.value  # type: ignore[assignment] # whole numbers and sums
    return found


@given(st.lists(records, max_size=30))
def test_every_outcome_counts_once_in_each_family(reported: list[OutcomeRecord]) -> None:
    metrics = counting()
    for record in reported:
        metrics.count_outcome(record)
    expected = Counter({(str(v), c): 0 for v in (1, 2) for c in ("true", "false")})
    expected.update((str(each.version), str(each.is_correct).lower()) for each in reported)
    for family in ("outcomes", "outcome_classes", "outcome_calibration"):
        assert totals(metrics, family, "version", "correct") == expected
    confidences = totals(metrics, "outcome_calibration_confidence_sum")
    assert confidences[()] == pytest.approx(sum(each.confidence for each in reported))


def test_the_class_that_counts_is_the_true_one(metrics: OutcomeMetrics) -> None:
    metrics.count_outcome(OutcomeRecord("m", 1, predicted=3, true=24, confidence=0.5))
    counted = totals(metrics, "outcome_classes", "bin", "label", "correct")
    assert {key for key, count in counted.items() if count} == {("19", "other", "false")}


def test_a_refusal_is_counted_by_its_reason(metrics: OutcomeMetrics) -> None:
    metrics.count_refusal("", 0, OutcomeRefusal.UNKNOWN)
    metrics.count_refusal("m", 2, OutcomeRefusal.EXPIRED)
    counted = totals(metrics, "outcomes_refused", "model", "version", "reason")
    assert {key for key, count in counted.items() if count} == {
        ("", "0", "unknown"),
        ("m", "2", "expired"),
    }


HANDLE = Outcome(None, handle=b"h")
ID = Outcome(None, request_id="a")
TOLD = [
    (OutcomeRefusal.MALFORMED, HANDLE, InvalidInput),
    (OutcomeRefusal.FORGED, HANDLE, InvalidInput),
    (OutcomeRefusal.UNKNOWN_KEY, HANDLE, AnswerUnknown),
    (OutcomeRefusal.UNKNOWN_MODEL, HANDLE, AnswerUnknown),
    (OutcomeRefusal.EXPIRED, HANDLE, AnswerExpired),
    (OutcomeRefusal.ALREADY_REPORTED, HANDLE, OutcomeReported),
    (OutcomeRefusal.EXPIRED, ID, AnswerExpired),
    (OutcomeRefusal.ALREADY_REPORTED, ID, OutcomeReported),
    (OutcomeRefusal.NO_HANDLE, ID, InvalidInput),
    (OutcomeRefusal.UNKNOWN, ID, AnswerUnknown),
    (OutcomeRefusal.AMBIGUOUS, ID, InvalidInput),
    (OutcomeRefusal.ROW_OUT_OF_RANGE, ID, InvalidInput),
    (OutcomeRefusal.NO_ANSWER, ID, InvalidInput),
]


def test_the_page_names_every_reason_with_its_code() -> None:
    rows = re.findall(r"\| `(\w+)` \| `(\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    codes = {reason.value: CODES[kind].name for reason, _, kind in TOLD}
    codes[OutcomeRefusal.LABEL_OUT_OF_RANGE.value] = "INVALID_ARGUMENT"
    assert {reason: code for code, reason in rows} == codes
    assert set(codes) == set(OutcomeRefusal)


@pytest.mark.parametrize(("reason", "outcome", "kind"), TOLD)
def test_every_reason_has_its_error(
    reason: OutcomeRefusal, outcome: Outcome, kind: type[ServingError]
) -> None:
    error = error_of(reason, outcome)
    assert type(error) is kind
    assert "{" not in str(error)
