"""What the benchmarks of harm, estimates and lasting drift compute, on made-up signals."""

from dataclasses import replace

import numpy as np
import pytest

from batchproof_server.drift.comparing import compare
from drift_estimates import ESTIMATORS, estimates
from drift_lasting import HOURS, held_for_a_day
from drift_shifts import SHIFTS, Answered, Pictures, halves
from support.drift_fixtures import profile, signals, truth


def calibrated(rows: int, seed: int) -> Answered:
    """What is true is drawn from the probabilities that the model gave."""
    made = signals(rows, seed=seed)
    noise = np.random.default_rng(seed).gumbel(size=made.log_probabilities.shape)
    return Answered(made, (made.log_probabilities + noise).argmax(axis=1))


def answered(rows: int, seed: int = 0) -> Answered:
    made = signals(rows, seed=seed)
    return Answered(made, truth(made, seed))


def test_there_are_fifteen_shifts() -> None:
    assert len({each.name for each in SHIFTS}) == 15


def test_every_estimator_is_near_the_truth_where_nothing_drifts() -> None:
    known, live = calibrated(3_000, seed=0), calibrated(3_000, seed=1)
    found = estimates(known, live)
    assert len(found) == len(ESTIMATORS)
    assert found == pytest.approx([live.accuracy] * len(found), abs=0.05)


def test_the_first_two_estimators_are_those_that_are_served() -> None:
    known = answered(400)
    live = replace(answered(300, seed=2))
    served = compare(profile(400), live.signals).accuracy
    assert estimates(known, live)[:2] == pytest.approx((served.atc_ratio, served.doc_ratio))


def test_an_alert_fires_after_a_day_without_a_break() -> None:
    notable = np.ones(60, bool)
    notable[30] = False
    held = held_for_a_day(notable)
    assert np.flatnonzero(held).tolist() == [*range(HOURS, 30), *range(31 + HOURS, 60)]


def test_pictures_of_a_garment_are_in_one_half() -> None:
    garments = np.tile(np.arange(10), 3)
    pictures = Pictures([b""] * 30, garments % 2, garments)
    one, other = halves(pictures)
    assert len(one.files) == len(other.files) == 15
    assert not set(one.garments) & set(other.garments)
