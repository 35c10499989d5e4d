"""The formulas of the evaluation against plain arithmetic, one picture after the other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.offline.evaluation.measures import (
    BINS,
    LEAST_PROBABILITY,
    accuracy,
    bits_differ,
    calibration_error,
    confusion,
    greatest_differences,
    negative_log_likelihood,
    reliability,
)

CLASSES = 4
answered = st.lists(
    st.tuples(
        st.integers(0, CLASSES - 1),
        st.integers(0, CLASSES - 1),
        st.floats(1 / 128, 1.0, width=32),
    ),
    min_size=1,
    max_size=60,
)


@given(answered)
def test_accuracy_and_confusion_count_what_a_loop_counts(
    pairs: list[tuple[int, int, float]],
) -> None:
    truth, answers = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    counts = confusion(truth, answers, CLASSES)
    for true in range(CLASSES):
        for answer in range(CLASSES):
            assert counts[true, answer] == sum(pair[:2] == (true, answer) for pair in pairs)
    assert accuracy(answers, truth) == pytest.approx(np.trace(counts) / len(pairs))


@given(answered)
def test_the_calibration_error_is_guos_equation_3(pairs: list[tuple[int, int, float]]) -> None:
    confidence = np.array([pair[2] for pair in pairs])
    right = np.array([pair[0] == pair[1] for pair in pairs])
    expected = 0.0
    for number in range(1, BINS + 1):
        members = [
            (sure, good)
            for sure, good in zip(confidence.tolist(), right.tolist(), strict=True)
            if (number - 1) / BINS < sure <= number / BINS
        ]
        if members:
            mean_confidence = math.fsum(sure for sure, _ in members) / len(members)
            share_right = sum(good for _, good in members) / len(members)
            expected += len(members) / len(pairs) * abs(share_right - mean_confidence)
    diagram = reliability(confidence, right)
    assert calibration_error(diagram) == pytest.approx(expected, abs=1e-12)
    assert diagram.pictures.sum() == len(pairs)


@given(st.lists(st.floats(1e-30, 1.0), min_size=1, max_size=50))
def test_the_likelihood_is_the_mean_of_minus_ln_p(probabilities: list[float]) -> None:
    expected = math.fsum(-math.log(each) for each in probabilities) / len(probabilities)
    assert negative_log_likelihood(np.array(probabilities)) == pytest.approx(expected, abs=1e-9)


def test_a_probability_of_0_costs_much_and_not_infinitely_much() -> None:
    cost = negative_log_likelihood(np.array([0.0], np.float32))
    assert cost == pytest.approx(-math.log(LEAST_PROBABILITY))
    assert cost < 88


def test_a_bin_holds_its_upper_edge_and_a_sum_above_1_falls_into_the_last() -> None:
    confidence = np.array([1 / 15, 2 / 15, 1.0, 1.0000001])
    diagram = reliability(confidence, np.array([True, False, True, True]))
    assert diagram.pictures[[0, 1, 14]].tolist() == [1, 1, 2]
    assert diagram.accuracy[[0, 1, 14]].tolist() == [1, 0, 1]


def test_an_always_sure_and_always_wrong_model_has_the_greatest_calibration_error() -> None:
    assert calibration_error(reliability(np.ones(7), np.zeros(7, bool))) == 1.0
    assert calibration_error(reliability(np.ones(7), np.ones(7, bool))) == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=1),
)
def test_the_greatest_difference_of_a_row_is_that_of_float64(
    pairs: list[tuple[float, float]],
) -> None:
    left, right = (np.array([[pair[side] for pair in pairs]], np.float32) for side in (0, 1))
    expected = max(abs(one - other) for one, other in pairs)
    assert greatest_differences(left, right).tolist() == [expected]


def test_one_last_bit_and_the_sign_of_zero_are_differences() -> None:
    one = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], np.float32)
    other = one.copy()
    other[1, 0] = np.nextafter(np.float32(1), np.float32(2))
    other[2, 1] = -0.0
    assert bits_differ(one, other).tolist() == [False, True, True]
    assert bits_differ(one[:, ::-1], other[:, ::-1]).tolist() == [False, True, True]
