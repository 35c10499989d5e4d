"""In reverse: which way to the size makes a tensor, and what makes scores."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import Framed, ScalingEnds
from batchproof_server.diagnosis.matching import GivenScores, nearest_framing

LEVELS = np.random.default_rng(1).integers(0, 256, (9, 7, 3)).astype(np.float32)
UNIT = ScalingEnds("", "as declared", (0.0,) * 3, (1.0,) * 3)


def test_of_a_tie_the_declared_way_is_the_nearest() -> None:
    declared, same = Framed("", "as declared", LEVELS), Framed("filter:box", "box", LEVELS)
    _, best = nearest_framing([declared, same], [UNIT], LEVELS / 255, 1e-4)
    assert best.framed is declared


def test_where_several_ways_leave_nothing_the_declared_scaling_is_the_simplest() -> None:
    flat = np.zeros((4, 4, 3), np.float32)
    flat[:2] = (200, 100, 50)
    declared = Framed("", "as declared", flat)
    swapped = Framed("color:bgr", "BGR", np.ascontiguousarray(flat[..., ::-1]))
    _, best = nearest_framing([declared, swapped], [UNIT], flat[..., ::-1] / 255, 1e-4)
    assert best.framed is swapped


def answers(logits: list[float]) -> ClassAnswers:
    scores = np.array([logits])
    shares = np.exp(scores - scores.max())
    return ClassAnswers(
        shares / shares.sum(), scores, has_logits=True, decided=scores.argmax(axis=1)
    )


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.floats(-100, 100))
def test_what_is_added_to_all_logits_is_no_distance(logits: list[float], added: float) -> None:
    known = answers(logits)
    as_logits = GivenScores.of(np.array(logits) + added)
    assume(not as_logits.are_probabilities)  # logits that sum to 1 cannot be told from these
    assert as_logits.distances(known)[0] < 1e-9
    assert GivenScores.of(known.probabilities[0]).distances(known)[0] < 1e-6


RANDOM = np.random.default_rng(4)
PLAIN = [6.0, 1.0, -2.0, -5.0]


def drawn(middle: list[float], deviation: float, count: int = 50) -> ClassAnswers:
    scores = np.array(middle) + RANDOM.normal(0, deviation, (count, len(middle)))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return ClassAnswers(shares, scores, has_logits=True, decided=scores.argmax(axis=1))


def test_one_more_draw_is_likelier_than_another_model_and_other_scores_are_not() -> None:
    draws, plain = drawn([2.0, 3.0, -4.0, 0.0], 0.5), answers(PLAIN)
    assert GivenScores.of(np.array([2.4, 2.7, -4.2, 0.2])).evidence(draws, plain) > 3
    assert GivenScores.of(np.array([-4.0, 0.0, 4.0, 1.0])).evidence(draws, plain) < -3
    weaker = GivenScores.of(np.array(PLAIN) / 2)
    assert weaker.evidence(draws, plain) < -3


@given(st.floats(-20, 20))
def test_what_is_added_to_all_logits_is_no_evidence(added: float) -> None:
    draws, plain, scores = drawn(PLAIN, 1.0), answers(PLAIN), np.array([3.0, 1.5, -2.0, -1.0])
    one, other = (GivenScores.of(each).evidence(draws, plain) for each in (scores, scores + added))
    assert abs(one - other) < 1e-6


def test_draws_that_are_all_the_same_leave_other_scores_to_another_model() -> None:
    same = drawn(PLAIN, 0.0)
    assert GivenScores.of(np.array([1.0, 3.0, -2.0, 0.5])).evidence(same, answers(PLAIN)) < -20
