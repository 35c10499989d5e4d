"""How far out a picture lies, and what turning it gains, beside reference pictures."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.checks.picture import PictureCheck
from batchproof_server.diagnosis.figures import best_turns, strangeness, turn_evidence, turnedness
from batchproof_server.diagnosis.findings import Level
from batchproof_server.diagnosis.measures import blurred, edge_axes, likeness, looks, signatures
from batchproof_server.diagnosis.reference import (
    Looks,
    PlaceInReference,
    ReferenceMeasures,
    TurnGains,
)
from support.diagnosed import case

COUNT = 20
RANDOM = np.random.default_rng(4)
ANGLES = (-30.0, 30.0)
AXES = RANDOM.uniform(0.2, 0.4, COUNT) + 0j
REFERENCE = ReferenceMeasures(
    count=COUNT,
    looks=Looks(np.full(COUNT, 250.0), np.zeros(COUNT), AXES),
    turns=TurnGains(ANGLES, np.full((COUNT, 2), 0.05), np.full((COUNT, 2), 0.5)),
    place=PlaceInReference(
        RANDOM.uniform(0.7, 0.9, COUNT), RANDOM.uniform(1, 4, COUNT), RANDOM.uniform(5, 9, COUNT)
    ),
)


def placed(likeness: float, distance: float, typicality: float) -> PlaceInReference:
    return PlaceInReference(np.array([likeness]), np.array([distance]), np.array([typicality]))


def test_the_middle_of_the_reference_is_not_strange_and_what_is_like_nothing_is() -> None:
    assert strangeness(placed(0.85, 2, 7), REFERENCE)[0] < 0.7
    assert strangeness(placed(0.1, 9, 0), REFERENCE)[0] > 1.5


@given(st.floats(0, 0.5), st.floats(0, 5), st.floats(0, 5))
def test_what_lies_further_out_is_never_less_strange(
    unlike: float, further: float, odder: float
) -> None:
    (inner,) = strangeness(placed(0.8, 2, 7), REFERENCE)
    (outer,) = strangeness(placed(0.8 - unlike, 2 + further, 7 - odder), REFERENCE)
    assert outer >= inner - 1e-12


def test_the_best_turn_is_the_one_that_gains_most() -> None:
    turns = TurnGains(ANGLES, np.array([[0.0, 0.3]]), np.array([[0.0, 4.0]]))
    (number,), (place,) = best_turns(turns, REFERENCE)
    assert turns.degrees[place] == 30.0
    assert number == pytest.approx(0.3 / 0.05 + 2.0)


def test_noise_is_what_the_calm_parts_have_and_white_what_few_pixels_exceed() -> None:
    calm = np.zeros((1, 20, 20), np.float32)
    calm[0, 5:15, 5:15] = 240
    noisy = np.clip(calm + RANDOM.normal(0, 25, calm.shape), 0, 255)
    assert looks(calm).noise[0] == 0.0
    assert looks(noisy).noise[0] > 4.0
    assert looks(calm).white[0] == 240.0


def test_likeness_knows_no_light() -> None:
    picture = RANDOM.integers(0, 200, (1, 40, 50)).astype(np.float32)
    pair = signatures(np.concatenate([picture, picture * 0.3 + 20]))
    assert float(pair[0] @ pair[1]) == pytest.approx(1.0)
    assert float(np.abs(signatures(np.full((1, 8, 8), 7.0))).max()) == 0.0


def test_a_blur_keeps_what_is_flat_and_the_mean_of_the_rest() -> None:
    flat = np.full((6, 9, 3), 77, np.uint8)
    assert np.array_equal(blurred(flat, 1.5), flat)
    dot = np.zeros((21, 21, 1), np.uint8)
    dot[10, 10] = 255
    spread = blurred(dot, 1.0).astype(int)
    assert 20 < spread[10, 10, 0] < 60
    assert 200 < spread.sum() < 310


def boards(degrees: float, side: int = 61) -> np.ndarray[Any, Any]:
    """Lines at right angles, turned: float64 [side, side]."""
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[:side, :side] - side / 2
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    crossed: np.ndarray[Any, Any] = 90.0 * (across % 9 < 2) + 90.0 * (along % 14 < 2)
    return crossed


def test_edges_know_the_axes_they_lie_along() -> None:
    upright, turned, quarter, flat = edge_axes(
        np.stack([boards(0), boards(30), boards(90), np.full((61, 61), 8.0)])
    )
    assert upright.real > 0.3
    assert abs(turned) > 0.2
    assert np.angle(turned, deg=True) == pytest.approx(4 * 30, abs=10)
    assert quarter == pytest.approx(upright, abs=0.05)
    assert flat == 0


@given(st.floats(0.05, 1), st.floats(0, 50))
def test_axes_know_no_light(factor: float, offset: float) -> None:
    one, other = edge_axes(np.stack([boards(20), boards(20) * factor + offset]))
    assert other == pytest.approx(one, abs=1e-6)


def test_axes_that_are_the_reference_s_once_turned_back_are_evidence_of_a_turn() -> None:
    upright, turned, other_way, quarter = turn_evidence(
        0.3 * np.exp(4j * np.deg2rad([0, 30, -30, 90])), AXES, ANGLES
    )
    assert upright < -1
    assert turned > 1
    assert other_way == pytest.approx(turned, abs=0.3)
    assert quarter == pytest.approx(upright)


@given(st.floats(0, 2 * np.pi))
def test_where_the_reference_has_no_axes_a_turn_is_no_evidence(way: float) -> None:
    above = 0.1 * np.exp(2j * np.pi * np.arange(COUNT) / COUNT)
    assert turn_evidence(0.1 * np.exp(np.array([1j * way])), above, ANGLES) == pytest.approx(0)


@given(st.floats(-np.pi, np.pi), st.floats(0, 1))
def test_it_makes_no_difference_along_which_axes_the_reference_lies(way: float, far: float) -> None:
    axes, turn = np.array([far * np.exp(1j)]), np.exp(1j * way)
    plain = turn_evidence(axes, AXES, ANGLES)
    assert turn_evidence(axes * turn, AXES * turn, ANGLES) == pytest.approx(plain, abs=1e-6)


def test_each_picture_has_a_reference_of_its_own_where_there_are_several() -> None:
    others = np.stack([np.delete(AXES, one) for one in range(COUNT)])
    alone = [turn_evidence(AXES[one : one + 1], others[one], ANGLES)[0] for one in range(COUNT)]
    assert turn_evidence(AXES, others, ANGLES) == pytest.approx(np.array(alone))


def test_likeness_is_the_correlation_of_levels() -> None:
    levels = RANDOM.uniform(0, 255, (5, 8, 8))
    correlations = np.asarray(np.corrcoef(levels.reshape(5, -1)))
    known = signatures(levels)
    assert likeness(known[:2], known) == pytest.approx(correlations[:2])


def test_reference_pictures_are_as_turned_as_is_usual() -> None:
    each = turnedness(REFERENCE.turns, REFERENCE.place, AXES, REFERENCE)
    assert abs(float(each.mean())) < 1
    assert float(each.max()) < 4


def drawn(middle: list[float], spread: float) -> ClassAnswers:
    scores = np.array(middle) + RANDOM.normal(0, spread, (50, len(middle)))
    shares = np.exp(scores)
    shares /= shares.sum(axis=1, keepdims=True)
    return ClassAnswers(shares, scores, has_logits=True, decided=scores.argmax(axis=1))


GRAINY = replace(REFERENCE, looks=Looks(np.full(COUNT, 200.0), np.full(COUNT, 4.0), AXES))
UPRIGHT = TurnGains(ANGLES, np.zeros((1, 2)), np.zeros((1, 2)))
BETTER_TURNED = TurnGains(ANGLES, np.array([[0.0, 0.4]]), np.array([[0.0, 4.0]]))


def looked_at(
    reference: ReferenceMeasures,
    place: PlaceInReference,
    *,
    noise: float = 4.0,
    white: float = 200.0,
    turns: TurnGains = UPRIGHT,
    axes: complex = 0.3,
) -> dict[str, Level]:
    """The levels of what is not fine, by cause."""
    found = PictureCheck().look(
        case(
            answers=drawn([4.0, 0.0], 0.1).part(slice(0, 1)),
            looks=Looks(np.array([white]), np.array([noise]), np.array([axes])),
            turns=turns,
            place=place,
            reference=reference,
        )
    )
    return {each.cause: each.level for each in found if each.level > Level.FINE}


USUAL = placed(0.85, 2, 7)


def test_a_drawing_among_photographs_is_nothing_that_the_model_knows() -> None:
    assert looked_at(GRAINY, USUAL) == {}
    assert looked_at(GRAINY, USUAL, noise=0.0) == {"picture:unknown": Level.LIKELY}


def test_where_reference_pictures_are_drawings_too_a_calm_picture_is_nothing_unusual() -> None:
    assert looked_at(REFERENCE, USUAL, noise=0.0) == {}


def test_a_dark_photograph_has_less_grain_and_is_no_drawing() -> None:
    found = looked_at(GRAINY, USUAL, noise=1.2, white=60.0)
    assert found == {"picture:dark": Level.LIKELY}


def test_what_would_not_be_accused_by_itself_stands_beside_another_cause() -> None:
    strange = placed(0.7, 3.5, 5.5)
    assert looked_at(GRAINY, strange) == {}
    assert looked_at(GRAINY, strange, noise=40.0) == {
        "picture:noise": Level.LIKELY,
        "picture:unknown": Level.SUSPICIOUS,
    }


def test_what_turning_makes_like_the_reference_is_turned() -> None:
    assert looked_at(GRAINY, placed(0.7, 3.5, 5.5), turns=BETTER_TURNED, axes=-0.1) == {
        "picture:turned": Level.LIKELY,
        "picture:unknown": Level.SUSPICIOUS,
    }


def test_what_is_unlike_everything_is_not_turned_whatever_that_gains() -> None:
    turns = TurnGains(ANGLES, np.array([[0.0, 0.2]]), np.array([[0.0, 4.0]]))
    assert "picture:turned" not in looked_at(GRAINY, placed(0.1, 9, 0), turns=turns)
