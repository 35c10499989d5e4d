"""The bins of the answered class: few classes, many, and what half of the answers does not know."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import MAX_BINS, reference_shares
from batchproof_server.drift.class_groups import CLASS, CLASS_GROUP, ClassGroups
from batchproof_server.drift.significance import significance
from batchproof_server.models.profiles import read_profile

WRITTEN = Path(__file__).resolve().parents[2] / "data" / "many-classes" / "profile.json"

GROUP_COUNTS = [17, 11, 15, 5, 17, 6, 18, 13, 6, 14, 19, 16, 8]
GROUP_OF = [
    0,
    0,
    0,
    0,
    0,
    0,
    1,
    1,
    1,
    11,
    11,
    1,
    1,
    2,
    2,
    2,
    2,
    2,
    3,
    3,
    3,
    4,
    11,
    11,
    4,
    4,
    4,
    4,
    5,
    5,
    5,
    5,
    5,
    6,
    6,
    6,
    12,
    6,
    6,
    6,
    7,
    12,
    7,
    7,
    7,
    7,
    12,
    8,
    8,
    8,
    9,
    9,
    9,
    9,
    10,
    10,
    10,
    10,
    10,
    10,
]

answers = st.lists(st.integers(0, 3_000), min_size=1, max_size=150)


def shares_of(classes: int, power: float) -> Array:
    shares = np.arange(1, classes + 1) ** -float(power)
    return np.asarray(shares / shares.sum())


def found(shares: Array, live: Array, known: int, observations: int, references: int) -> float:
    """The share of windows of ``live`` that differ from references of ``shares``."""
    random = np.random.default_rng(3)
    fired = []
    for _ in range(references):
        groups = ClassGroups.of(random.multinomial(known, shares).tolist())
        there = np.bincount(groups.group_of, live, len(groups.counts))
        windows = random.multinomial(observations, there / there.sum(), size=10)
        of_reference = reference_shares(groups.counts)
        total = int(groups.counts.sum())
        fired.append(significance(groups.signal, windows, of_reference, total) > 1)
    return float(np.mean(fired))


def test_up_to_20_classes_have_a_bin_each() -> None:
    groups = ClassGroups.of(range(20))

    assert groups.signal == CLASS
    assert groups.counts.tolist() == groups.group_of.tolist() == list(range(20))
    assert groups.labels([f"c{each}" for each in range(20)])[7] == "c7"


@given(answers)
@example([0] * 30)
@example([2**53 - 1] * 30)
@example([1] + [0] * 30)
def test_every_class_has_a_bin_and_no_bin_is_without_a_class(answered: list[int]) -> None:
    groups = ClassGroups.of(answered)

    assert len(groups.group_of) == len(answered)
    assert set(groups.group_of.tolist()) == set(range(len(groups.counts)))
    assert len(groups.counts) <= MAX_BINS
    assert 0 <= groups.counts.min() <= groups.counts.sum() <= sum(answered)
    names = groups.labels([f"c{place}" for place in range(len(answered))])
    assert len(names) == len(set(names)) == len(groups.counts)


@given(answers)
def test_equal_counts_make_equal_groups(answered: list[int]) -> None:
    one, other = ClassGroups.of(answered), ClassGroups.of(list(answered))

    assert one.group_of.tolist() == other.group_of.tolist()
    assert one.counts.tolist() == other.counts.tolist()


@given(st.lists(st.integers(0, 3_000), min_size=MAX_BINS + 1, max_size=150))
def test_groups_are_runs_of_classes_that_the_choosing_half_has_or_lacks(
    answered: list[int],
) -> None:
    groups = ClassGroups.of(answered)
    is_seldom = groups.group_of >= groups.first_seldom

    for part in (groups.group_of[is_seldom], groups.group_of[~is_seldom]):
        assert part.tolist() == sorted(part.tolist())


def test_groups_of_a_large_even_reference_have_equal_counts_of_half_of_the_answers() -> None:
    groups = ClassGroups.of([1_000] * 200)

    assert groups.signal == CLASS_GROUP
    assert len(groups.counts) == 20
    assert groups.counts.sum() == pytest.approx(100_000, rel=0.01)
    assert groups.counts.min() > 0.8 * groups.counts.max()


def test_counts_beyond_all_coins_are_halved_with_the_spread_of_a_coin() -> None:
    halves = [ClassGroups.of([10**6] * 21 + [k]).counts.sum() for k in range(100)]

    # 21 classes of a million: half of them, give or take 2291.
    assert np.mean(halves) == pytest.approx(10.5e6, abs=1_500)
    assert np.std(halves) == pytest.approx(2291, rel=0.25)


def test_a_group_is_called_by_its_first_and_last_class_and_their_number() -> None:
    names = ClassGroups.of([100] * 40 + [0] * 5).labels([f"c{place}" for place in range(45)])

    assert names[0] == "c0 to c1 (2 classes)"
    assert names[-1] == "seldom: c40 to c44 (5 classes)"


def test_the_groups_of_a_profile_that_was_written_before_there_were_any_never_change() -> None:
    profile = read_profile(WRITTEN)
    groups = profile.class_groups()

    assert len(profile.class_bins) == 19
    assert groups.signal == CLASS_GROUP
    assert groups.counts.tolist() == GROUP_COUNTS
    assert groups.group_of.tolist() == GROUP_OF


@pytest.mark.parametrize("classes", [21, 200, 1_000])
@pytest.mark.parametrize("power", [0, 1])
@pytest.mark.parametrize("known", [200, 1_000])
def test_windows_of_the_reference_are_seldom_significant(
    classes: int, power: float, known: int
) -> None:
    shares = shares_of(classes, power)

    for observations in (50, 1_000, 20_000):
        assert found(shares, shares, known, observations, references=200) <= 0.015


EVEN = shares_of(1_000, 0)


def only(classes: Array) -> Array:
    return np.isin(np.arange(1_000), classes) / len(classes)


SHIFTS = {
    "only dogs": only(np.arange(151, 269)),
    "half dogs": (only(np.arange(151, 269)) + EVEN) / 2,
    "only animals": only(np.arange(398)),
    "10 random classes": only(np.random.default_rng(5).choice(1_000, 10, replace=False)),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_other_shares_of_a_thousand_classes_are_found(name: str) -> None:
    assert found(EVEN, SHIFTS[name], 1_000, 500, references=40) >= 0.95


@pytest.mark.parametrize("known", [200, 1_000, 20_000])
def test_a_complete_change_of_classes_is_found(known: int) -> None:
    order = np.random.default_rng(6).permutation(1_000)

    assert found(only(order[:200]), only(order[200:600]), known, 500, references=40) >= 0.95
