"""Where edges lie, and which bin a value falls into."""

import numpy as np
import pytest

from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import (
    bins_of,
    class_bins,
    decile_edges,
    just_above,
    quantile_edges,
    reference_shares,
)

ANYWHERE = (-np.inf, np.inf)


def counts(values: Array, edges: tuple[float, ...]) -> list[int]:
    counted = np.bincount(bins_of(values, np.array(edges)), minlength=len(edges) + 1)
    return [int(count) for count in counted]


def test_ten_bins_hold_a_tenth_of_different_values_each() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1, 1001) / 7)
    edges = decile_edges(values, ANYWHERE)
    assert len(edges) == 9
    assert all(abs(count - 100) <= 1 for count in counts(values, edges))


def test_any_increasing_scale_gives_the_same_bins() -> None:
    confidence = 1 - np.random.default_rng(2).uniform(0.02, 1, 500) ** 9
    edges = decile_edges(confidence, (0, 1))
    scaled = -np.log1p(-confidence)
    assert counts(confidence, edges) == counts(scaled, decile_edges(scaled, ANYWHERE))


def test_the_outer_bins_are_open() -> None:
    edges = decile_edges(np.arange(100.0), ANYWHERE)
    assert bins_of(np.array([-1e9, 1e9, np.inf]), np.array(edges)).tolist() == [0, 9, 9]


def test_a_value_on_an_edge_is_in_the_bin_above() -> None:
    assert bins_of(np.array([0.4, 0.5, 0.6]), np.array([0.5])).tolist() == [0, 1, 1]


def test_a_constant_has_a_bin_of_its_own_between_two_others() -> None:
    edges = decile_edges(np.full(200, 1.5), (0, np.inf))
    assert len(edges) == 2
    seen = np.array([1.5, 1.4999999, 1.5000001, 16 / 9])
    assert bins_of(seen, np.array(edges)).tolist() == [1, 0, 2, 2]


def test_an_atom_at_the_end_of_the_range_needs_one_edge_only() -> None:
    numbers = np.random.default_rng(3)
    certain = np.concatenate([np.ones(600), numbers.uniform(0, 0.9, 400)])
    top = decile_edges(certain, (0, 1))
    assert top[-1] == 1.0
    assert counts(certain, top)[-1] == 600
    bottom = decile_edges(1 - certain, (0, 1))
    assert counts(1 - certain, bottom)[0] == 600


def test_the_edge_above_an_atom_at_0_is_no_number_that_a_processor_may_take_for_0() -> None:
    edge = decile_edges(np.zeros(100), (0, 1))
    assert edge == (just_above(0.0),) == (np.finfo(np.float64).smallest_normal,)
    assert bins_of(np.array([0.0, 1e-300]), np.array(edge)).tolist() == [0, 1]


def test_an_atom_in_the_middle_is_cut_out() -> None:
    values = np.concatenate([np.arange(300.0), np.full(400, 500.0), np.arange(600.0, 900.0)])
    edges = decile_edges(values, ANYWHERE)
    assert 500.0 in edges
    assert 400 in counts(values, edges)
    assert len(edges) <= 9


def test_quantile_edges_are_distinct_values_that_occurred() -> None:
    values = np.repeat(np.arange(5.0), 20)
    edges = quantile_edges(values, 50)
    assert edges == tuple(sorted(set(edges)))
    assert set(edges) <= set(values)


def test_up_to_20_classes_keep_their_order() -> None:
    assert class_bins(np.arange(20)) == tuple(range(20))


def test_of_more_classes_the_19_most_answered_have_figures_of_their_own() -> None:
    answered = np.arange(30)
    assert class_bins(answered) == tuple(range(29, 10, -1))


def test_shares_are_never_0_and_sum_to_1() -> None:
    shares = reference_shares(np.array([0, 3, 97]))
    assert shares == pytest.approx([0.5 / 101.5, 3.5 / 101.5, 97.5 / 101.5])
    assert shares.sum() == pytest.approx(1)
