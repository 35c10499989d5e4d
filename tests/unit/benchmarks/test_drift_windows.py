"""The windows of benchmarks/drift.py: counted as the server counts, each picture once."""

import numpy as np
import pytest

from drift_server import CHUNK_ROWS, Reading, Sent
from drift_tests import Floats
from drift_windows import (
    KS,
    RULE,
    TESTS,
    Reference,
    counted,
    drawn,
    fired_by,
    found_reference,
    of_counters,
    rates,
    splits,
)

SEED = 3


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def some_signals(rng: np.random.Generator, rows: int, shift: float = 0.0) -> dict[str, Floats]:
    return {
        "class": rng.integers(0, 4, rows).astype(np.float64),
        "energy": rng.normal(shift, 1, rows),
    }


def test_windows_are_counted_in_the_bins_of_the_edges(rng: np.random.Generator) -> None:
    windows = rng.integers(0, 10, (5, 40)).astype(np.float64)
    counts = counted(windows, np.array([2.0, 5.0]))
    assert counts.tolist() == [
        [(row < 2).sum(), ((row >= 2) & (row < 5)).sum(), (row >= 5).sum()] for row in windows
    ]


def test_a_window_holds_no_picture_twice_and_the_same_ones_for_every_signal(
    rng: np.random.Generator,
) -> None:
    signals = {"a": np.arange(60.0), "b": -np.arange(60.0)}
    windows = drawn(signals, 50, 7, rng)
    assert all(len(set(row)) == 50 for row in windows["a"].tolist())
    assert np.array_equal(windows["a"], -windows["b"])


def test_a_cut_has_its_reference_in_one_half_and_its_windows_in_the_other(
    rng: np.random.Generator,
) -> None:
    signals = {"class": np.arange(400.0) % 4, "energy": np.arange(400.0)}
    for reference, rest in splits(signals, 3, 4, rng):
        both = np.concatenate((reference.values["energy"], rest["energy"]))
        assert sorted(both.tolist()) == list(range(400))
        assert reference.counts["energy"].sum() == 200
        assert len(reference.shares["class"]) == 4


def test_a_large_shift_is_seen_by_every_test_and_none_by_the_rule(
    rng: np.random.Generator,
) -> None:
    reference = found_reference(some_signals(rng, 5_000), 4)
    shifted = drawn(some_signals(rng, 1_000, shift=2.0), 200, 10, rng)
    fired = [fired_by(shifted, reference, TESTS)]
    assert all(rates(fired, test)["energy"] == 1 for test in TESTS)
    clean = [fired_by(drawn(some_signals(rng, 1_000), 200, 10, rng), reference, (RULE,))]
    assert rates(clean, RULE)["any"] <= 0.1
    assert KS not in clean[0]


def reading(counts: Floats, reference: Reference) -> Reading:
    return Reading({"energy": counts}, {"energy": reference.shares["energy"]}, {"energy": 5_000})


def test_the_counters_between_two_readings_are_a_window(rng: np.random.Generator) -> None:
    full = found_reference(some_signals(rng, 5_000), 4)
    reference = Reference(
        edges={"energy": full.edges["energy"]},
        shares={"energy": full.shares["energy"]},
        counts={"energy": full.counts["energy"]},
        values={"energy": full.values["energy"]},
    )
    as_it_was = np.full(10, CHUNK_ROWS / 10)
    all_in_one = np.zeros(10)
    all_in_one[0] = CHUNK_ROWS
    grown = np.cumsum([np.zeros(10), as_it_was, all_in_one, as_it_was, as_it_was], axis=0)
    sent = Sent({}, [reading(each, reference) for each in grown])
    assert of_counters(sent, reference, CHUNK_ROWS).tolist() == [False, True, False, False]
    assert of_counters(sent, reference, 2 * CHUNK_ROWS).tolist() == [True, False]
    assert of_counters(sent, reference, 5 * CHUNK_ROWS).tolist() == []
