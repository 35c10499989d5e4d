"""Scores against a plain reference, and the independence of rows."""

import math
from typing import Literal, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output_forms import FORMS, ScoresKind
from batchproof_server.base.scores import NO_ANSWER, Scores, score
from batchproof_server.base.signature import Array
from support.scorings import scoring

Kind: TypeAlias = Literal["logits", "probabilities"]
KINDS: tuple[Kind, ...] = ("logits", "probabilities")
matrices = hnp.arrays(
    st.sampled_from((np.float16, np.float32, np.float64)),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.floats(-60, 60, width=16),
)


def normalized(raw: Array) -> Array:
    """Rows that sum to 1."""
    positive = np.abs(raw.astype(np.float64)) + 1e-9
    result: Array = positive / positive.sum(axis=1, keepdims=True)
    return result


def output(raw: Array, kind: Kind) -> Array:
    return raw if kind == "logits" else normalized(raw)


def reference(row: Array, kind: Kind) -> list[float]:
    """Probabilities of one row in plain Python."""
    values = [float(value) for value in row]
    if kind == "probabilities":
        return values
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("kind", KINDS)
@given(raw=matrices)
def test_probabilities_entropy_and_margin_equal_a_plain_reference(kind: Kind, raw: Array) -> None:
    came = output(raw, kind)
    scores = score(came, kind)
    for row in range(len(came)):
        expected = reference(came[row], kind)
        entropy = -math.fsum(p * math.log(p) for p in expected if p > 0)
        best = [*sorted(expected, reverse=True), 0.0]
        np.testing.assert_allclose(scores.probabilities[row], expected, rtol=1e-6, atol=1e-38)
        assert scores.entropy[row] == pytest.approx(max(0.0, entropy), abs=1e-9)
        assert scores.margin[row] == pytest.approx(best[0] - best[1], abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(raw=matrices, data=st.data())
def test_the_scores_of_a_row_are_the_same_bits_in_any_company(
    kind: Kind, raw: Array, data: st.DataObject
) -> None:
    came = output(raw, kind)
    order = data.draw(st.permutations(range(len(came))))
    kept = order[: data.draw(st.integers(1, len(came)))]
    together, apart = score(came, kind), score(came[kept], kind)
    for place, row in enumerate(kept):
        alone = score(came[row : row + 1], kind)
        for name in ("probabilities", "entropy", "margin"):
            bits = getattr(together, name)[row].tobytes()
            assert getattr(apart, name)[place].tobytes() == bits
            assert getattr(alone, name)[0].tobytes() == bits


@pytest.mark.parametrize("kind", KINDS)
@given(raw=matrices, data=st.data())
def test_scores_that_are_worked_out_together_are_those_of_each_alone(
    kind: Kind, raw: Array, data: st.DataObject
) -> None:
    came = output(raw, kind)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(came) - 1)))) if len(came) > 1 else []
    parts = np.split(came, cuts)
    for part, together in zip(parts, scoring(kind).score_together(parts), strict=True):
        alone = score(part, kind)
        assert bits(together) == bits(alone)
        rows, top_k = range(len(part)), data.draw(st.integers(0, raw.shape[1]))
        assert [together.ranking(row, top_k) for row in rows] == [
            alone.ranking(row, top_k) for row in rows
        ]


@given(
    st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=20),
    st.sampled_from((None, 0.3, 0.9)),
)
def test_so_are_those_of_a_binary_model(raw: list[float], threshold: float | None) -> None:
    parts = np.split(np.array(raw, np.float32)[:, np.newaxis], [1])
    together = scoring("binary_logit", threshold).score_together(parts)
    alone = [score(part, "binary_logit", threshold) for part in parts]
    assert list(map(bits, together)) == list(map(bits, alone))
    assert [each.ranking(0, 2) for each in together] == [each.ranking(0, 2) for each in alone]


def test_many_classes_are_put_in_order_when_somebody_asks() -> None:
    raw = np.linspace(0, 1, 300).reshape(2, 150)
    (first, second) = scoring("logits").score_together(np.split(raw, 2))
    assert first.best_first is None
    assert (first.ranking(0, 2), second.ranking(0, 2)) == ([149, 148], [149, 148])


@given(
    hnp.arrays(np.float64, st.integers(2, 300), elements=st.sampled_from((-9.0, 0.0, 0.5, 9.0))),
    st.integers(0, 320),
)
def test_the_best_of_many_classes_are_the_head_of_all_in_order(levels: Array, top_k: int) -> None:
    scores = score(levels[np.newaxis], "logits")
    probabilities = scores.probabilities[0].tolist()
    in_order = sorted(range(len(levels)), key=lambda index: (-probabilities[index], index))
    assert scores.ranking(0, top_k) == in_order[:top_k]


def bits(scores: Scores) -> list[tuple[str, bytes]]:
    """Everything but the order of the classes, which may be left to be worked out."""
    names = ("probabilities", "logits", "entropy", "margin", "decided", "confidences")
    arrays = [getattr(scores, name) for name in names]
    return [(str(each.dtype), each.tobytes()) for each in arrays if each is not None]


@given(matrices)
def test_entropy_and_margin_stay_within_their_bounds(raw: Array) -> None:
    scores = score(raw, "logits")
    classes = raw.shape[1]
    assert (scores.entropy >= 0).all()
    assert (scores.entropy <= math.log(classes) + 1e-9).all()
    assert ((scores.margin >= 0) & (scores.margin <= 1)).all()
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, rtol=1e-5)


@given(matrices, st.integers(0, 50))
def test_the_ranking_is_by_probability_and_ties_go_to_the_lower_index(
    raw: Array, top_k: int
) -> None:
    scores = score(raw, "logits")
    ranking = scores.ranking(0, top_k)
    keys = [(-float(scores.probabilities[0, index]), index) for index in ranking]
    assert keys == sorted(keys)
    assert len(ranking) == min(top_k, raw.shape[1])


def test_logits_are_kept_as_float32_and_probabilities_have_none() -> None:
    scores = score(np.array([[1.0, 2.0]]), "logits")
    assert scores.logits is not None
    assert scores.logits.dtype == np.float32
    assert scores.logits.tolist() == [[1.0, 2.0]]
    assert score(np.array([[0.5, 0.5]]), "probabilities").logits is None


def test_entropy_is_never_below_zero_through_rounding() -> None:
    scores = score(np.array([[1 + 1e-7, 0.0], [1.0, 0.0]], np.float32), "probabilities")
    assert scores.entropy.tolist() == [0.0, 0.0]
    assert not np.signbit(scores.entropy).any()


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_is_certain(kind: Kind) -> None:
    scores = score(np.ones((2, 1), np.float32), kind)
    assert scores.probabilities.tolist() == [[1.0], [1.0]]
    assert scores.entropy.tolist() == [0.0, 0.0]
    assert scores.margin.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_output_that_is_not_finite_names_its_row(kind: Kind, bad: float) -> None:
    came = np.full((3, 2), 0.5)
    came[2, 1] = bad
    with pytest.raises(InvalidInput, match="output for row 2 is not finite; expected an input"):
        score(came, kind)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("kind", sorted(FORMS))
@given(
    logits=hnp.arrays(np.float32, (5, 1), elements=st.floats(0.125, 0.875, width=32)),
    bad=hnp.arrays(np.bool_, 5),
    poison=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_a_row_that_is_not_finite_has_no_answer_and_the_others_have_theirs(
    kind: ScoresKind, logits: Array, bad: Array, poison: float
) -> None:
    binary = FORMS[kind].is_binary
    given_rows = logits if binary else np.concatenate([logits, 1 - logits], axis=1)
    came = np.where(bad[:, np.newaxis], np.float32(poison), given_rows)
    scores = scoring(kind).score_finite_rows(came)
    for row in range(len(came)):
        of_row = scores.part(slice(row, row + 1))
        if not bad[row]:
            assert_same(of_row, scoring(kind).score(came[row : row + 1]))
            continue
        assert of_row.decided == NO_ANSWER
        figures = (of_row.probabilities, of_row.entropy, of_row.margin, of_row.confidences)
        assert all(np.isnan(each).all() for each in figures)
        assert not scores.ranking(row, 2)
        assert not scores.labels(row)


def assert_same(one: Scores, other: Scores) -> None:
    for name in ("probabilities", "logits", "entropy", "margin", "decided", "confidences"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.ranking(0, 2), other.ranking(0, 2))
