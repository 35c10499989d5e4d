"""From findings to causes in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.diagnosis.case import flips
from batchproof_server.diagnosis.checks.place import percentile
from batchproof_server.diagnosis.findings import CheckResult, Level
from batchproof_server.diagnosis.verdict import ranked
from batchproof_server.drift.profile import SignalReference

findings = st.builds(
    CheckResult,
    cause=st.sampled_from("abc"),
    title=st.just("title"),
    number=st.just(1.0),
    threshold=st.none(),
    level=st.sampled_from(Level),
    evidence=st.just("evidence"),
    weight=st.floats(0, 10),
)


@given(st.lists(findings))
def test_causes_are_what_is_not_fine_each_once_the_likeliest_first(
    found: list[CheckResult],
) -> None:
    causes = ranked(found)
    assert {each.cause for each in causes} == {each.cause for each in found if each.level}
    assert len({each.cause for each in causes}) == len(causes)
    keys = [(each.level, each.weight) for each in causes]
    assert keys == sorted(keys, reverse=True)


def test_a_curve_flips_at_the_nearest_step_that_changes_the_class() -> None:
    kept = np.array([[True, False, True, False], [True] * 4])
    assert flips(kept, (2, 1, 1, 2)) == (1, None)


REFERENCE = SignalReference((1.0, 2.0), (2, 4, 4), 1.5, 0.5, 0.0, 4.0)


@given(st.floats(-1, 5), st.floats(-1, 5))
def test_a_percentile_rises_with_the_value_from_0_to_1(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= percentile(REFERENCE, low) <= percentile(REFERENCE, high) <= 1


def test_a_percentile_is_exact_at_the_edges() -> None:
    assert [percentile(REFERENCE, value) for value in (0.0, 1.0, 2.0, 3.0, 4.0)] == [
        0.0, 0.2, 0.6, 0.8, 1.0,
    ]  # fmt: skip
