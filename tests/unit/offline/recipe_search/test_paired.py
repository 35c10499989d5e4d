import math

import numpy as np
import pytest
from scipy import stats

from batchproof_server.base.intervals import share_interval
from batchproof_server.offline.recipe_search.paired import (
    LEAST_PROBABILITY,
    lead,
    log_likelihoods,
    mutual_information,
    student_quantile,
    tail_of_each,
)


@pytest.mark.parametrize("degrees", [19, 47, 143, 299])
@pytest.mark.parametrize("tail", [0.05, 1e-3, 2e-5, 1e-6])
def test_the_quantile_is_that_of_students_distribution(degrees: int, tail: float) -> None:
    exact = stats.t.ppf(1 - tail, degrees)

    assert student_quantile(1 - tail, degrees) == pytest.approx(exact, rel=3e-4)


def test_a_lead_is_the_paired_t_test() -> None:
    random = np.random.default_rng(3)
    one, other = random.normal(0, 1, 80), random.normal(0.4, 1, 80)
    found = lead(other, one)
    exact = stats.ttest_rel(other, one, alternative="greater")
    low, high = exact.confidence_interval(0.99)

    assert found.interval(0.01)[0] == pytest.approx(low, rel=1e-3)
    assert math.isinf(high)
    assert found.is_beyond_doubt(0.01) == (exact.pvalue < 0.01)


def test_equal_answers_lead_by_nothing_and_no_number_of_pictures_tells_them_apart() -> None:
    same = lead(np.full(30, -1.0), np.full(30, -1.0))

    assert (same.mean, same.error) == (0.0, 0.0)
    assert not same.is_beyond_doubt(0.4)
    assert same.pictures_needed(0.01) is None


def test_the_pictures_that_are_needed_make_the_same_lead_certain() -> None:
    random = np.random.default_rng(4)
    behind = random.normal(0, 1, 50)
    found = lead(behind + random.normal(0.2, 1, 50), behind)
    needed = found.pictures_needed(1e-4)

    assert not found.is_beyond_doubt(1e-4)
    assert needed is not None
    assert 50 < needed < 5000


def test_no_picture_decides_alone() -> None:
    logs = log_likelihoods(np.array([0.0, 1e-30, 1.0], np.float32))

    assert logs.tolist() == [math.log(LEAST_PROBABILITY), math.log(LEAST_PROBABILITY), 0.0]


def test_every_comparison_has_its_share_of_the_error() -> None:
    assert tail_of_each(0.99, 100) == pytest.approx(1e-4)
    assert tail_of_each(0.99, 0) == pytest.approx(0.01)


def test_the_best_of_many_is_left_out_as_rarely_as_is_said() -> None:
    """40 recipes that are equally good, 400 times: the leader is chosen on the same pictures."""
    random = np.random.default_rng(5)
    tail, missed = tail_of_each(0.95, 39), 0
    for _ in range(400):
        logs = random.normal(-1, 1, (40, 60)) + random.normal(0, 1, 60)
        leader = logs[logs.mean(axis=1).argmax()]
        missed += lead(leader, logs[0]).is_beyond_doubt(tail)

    assert missed / 400 <= 0.05


@pytest.mark.parametrize(("right", "pictures"), [(0, 20), (13, 20), (290, 300), (300, 300)])
def test_the_interval_of_a_share_is_wilsons(right: int, pictures: int) -> None:
    exact = stats.binomtest(right, pictures).proportion_ci(0.95, method="wilson")

    found = share_interval(right, pictures, 0.95)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_mutual_information_is_greatest_where_answers_are_sure_and_differ() -> None:
    sure = np.eye(4)

    assert mutual_information(sure) == pytest.approx(math.log(4))
    assert mutual_information(sure[[0, 0, 0, 0]]) == pytest.approx(0)
    assert mutual_information(np.full((4, 4), 0.25)) == pytest.approx(0)
