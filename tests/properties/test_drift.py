"""Laws of drift: counts and profiles add up, whatever the parts; shares are shares."""

from dataclasses import asdict
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.drift.binning import bins_of, decile_edges, reference_shares
from batchproof_server.drift.counters import DriftCounts, Ruler
from batchproof_server.drift.merging import merge_profiles
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import Signals
from batchproof_server.drift.summarising import frame_of, summarise
from support.drift_fixtures import part, profile, signals, subject, truth

SEEDS = st.integers(0, 10_000)
REFERENCE = {classes: profile(classes=classes) for classes in (2, 3, 25)}


def same(left: DriftCounts, right: DriftCounts) -> bool:
    return bool(
        (left.bins == right.bins).all()
        and np.allclose(left.deviation_sum, right.deviation_sum, rtol=1e-12)
        and left.atc_above == right.atc_above
        and (left.unusable == right.unusable).all()
    )


@given(SEEDS, st.sampled_from([2, 3, 25]), st.lists(st.integers(1, 99), max_size=4))
def test_counting_in_parts_is_counting_at_once(seed: int, classes: int, cuts: list[int]) -> None:
    ruler, whole = Ruler(REFERENCE[classes]), signals(100, classes, seed)
    borders = [0, *sorted(set(cuts)), 100]
    parts = [part(whole, slice(*each)) for each in pairwise(borders)]
    added = reduce(lambda total, one: total + ruler.counted(one), parts, ruler.nothing())
    assert same(added, ruler.counted(whole))


@given(SEEDS)
def test_the_order_of_rows_and_requests_does_not_matter(seed: int) -> None:
    ruler, whole = Ruler(REFERENCE[3]), signals(60, 3, seed)
    order = np.random.default_rng(seed).permutation(60)
    values = {name: array[order] for name, array in whole.values.items()}
    mixed = Signals(whole.classes[order], values, whole.log_probabilities[order])
    assert same(ruler.counted(whole), ruler.counted(mixed))


@given(SEEDS, st.integers(1, 40))
def test_a_request_seen_twice_counts_twice_and_every_row_is_in_one_bin(
    seed: int, rows: int
) -> None:
    ruler, made = Ruler(REFERENCE[3]), signals(rows, 3, seed)
    once = ruler.counted(made)
    assert (once.bins.sum(axis=1) == rows).all()
    twice = once + ruler.counted(made)
    assert (twice.bins == 2 * once.bins).all()
    assert twice.atc_above == 2 * once.atc_above


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_shares_sum_to_1_and_none_is_0(counts: list[int]) -> None:
    shares = reference_shares(np.array(counts))
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()


@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 1.0, 1.0]), min_size=1),
    st.floats(allow_nan=False),
)
def test_edges_ascend_and_every_number_has_a_bin(values: list[float], number: float) -> None:
    edges = decile_edges(np.array(values), (-np.inf, np.inf))
    assert list(edges) == sorted(set(edges))
    assert len(edges) <= 9
    assert 0 <= bins_of(np.array([number]), np.array(edges))[0] <= len(edges)


def parts_of(seed: int, count: int) -> tuple[list[ReferenceProfile], ReferenceProfile]:
    """Profiles of parts of 240 pictures over the same bins, and that of the whole."""
    whole = signals(240, 3, seed)
    classes = truth(whole, seed)
    frame = frame_of(REFERENCE[3])
    size = 240 // count
    slices = [slice(start * size, (start + 1) * size) for start in range(count)]
    parts = [summarise(subject(), part(whole, each), classes[each], frame) for each in slices]
    return parts, summarise(subject(), whole, classes, frame)


def counted(made: ReferenceProfile) -> Any:
    """A profile without the figures that rounding may change."""
    values = asdict(made)
    for signal in values["signals"].values():
        del signal["mean"], signal["stddev"]
    del values["calibration"]["confidence_sum"], values["calibration"]["ece_ratio"]
    return values


def figures(made: ReferenceProfile) -> list[float]:
    moments = [figure for each in made.signals.values() for figure in (each.mean, each.stddev)]
    return [*moments, made.calibration.ece_ratio, *made.calibration.confidence_sum]


@given(SEEDS, st.sampled_from([2, 3, 4]))
def test_profiles_of_parts_add_up_to_that_of_the_union(seed: int, count: int) -> None:
    parts, whole = parts_of(seed, count)
    added = reduce(merge_profiles, parts)
    assert counted(added) == counted(whole)
    assert figures(added) == pytest.approx(figures(whole), rel=1e-9, abs=1e-12)


@given(SEEDS)
def test_adding_profiles_up_is_commutative_and_associative(seed: int) -> None:
    (one, two, three), _ = parts_of(seed, 3)
    assert merge_profiles(one, two) == merge_profiles(two, one)
    left, right = (
        merge_profiles(merge_profiles(one, two), three),
        merge_profiles(one, merge_profiles(two, three)),
    )
    assert counted(left) == counted(right)
    assert figures(left) == pytest.approx(figures(right), rel=1e-9, abs=1e-12)
