"""The aggregations against their formulas, and the laws that all of them keep."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.signature import Array
from batchproof_server.tta.aggregation import (
    AGGREGATION_PARAMETERS,
    Aggregation,
    aggregate,
    parse_aggregation,
)

TEXTS = ("mean", "logit_mean", "vote", "max", "sharpen(2)", "sharpen(0.5)", "blend(0.25)")


def rows(seed: int, views: int, classes: int, sharpness: float) -> Array:
    logits = np.random.default_rng(seed).normal(size=(views, classes)) * sharpness
    scaled: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalized: Array = scaled / scaled.sum(axis=1, keepdims=True)
    return normalized


some_rows = st.builds(
    rows, st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 9), st.floats(0, 60)
)
aggregations = st.sampled_from(TEXTS)


def made(views: Array, text: str, weights: tuple[float, ...] = (), plain: int = 0) -> Array:
    return aggregate(views, parse_aggregation(text), weights, plain)


def reference(views: Array, text: str) -> list[float]:
    """The formulas in plain Python, on floats that are not sorted."""
    table = views.tolist()
    count, classes = len(table), range(len(table[0]))
    mean = [sum(view[c] for view in table) / count for c in classes]
    name, _, number = text.rstrip(")").partition("(")
    if name == "mean":
        result = mean
    elif name == "logit_mean":
        logs = [sum(math.log(max(view[c], 1e-300)) for view in table) / count for c in classes]
        result = [math.exp(log - max(logs)) for log in logs]
    elif name == "vote":
        best = [view.index(max(view)) for view in table]
        result = [0.999 * best.count(c) / count + 0.001 * mean[c] / sum(mean) for c in classes]
    elif name == "max":
        result = [max(view[c] for view in table) for c in classes]
    elif name == "sharpen":
        result = [sum(view[c] ** (1 / float(number)) for view in table) / count for c in classes]
    else:
        beta, others = float(number), table[1:]
        of_others = [sum(view[c] for view in others) / len(others) for c in classes]
        result = [beta * table[0][c] + (1 - beta) * of_others[c] for c in classes]
    return [value / sum(result) for value in result]


@given(some_rows.filter(lambda views: len(views) > 1), aggregations)
def test_an_aggregate_agrees_with_its_formula(views: Array, text: str) -> None:
    assert made(views, text).tolist() == pytest.approx(reference(views, text), rel=1e-9, abs=1e-12)


@given(some_rows, aggregations)
def test_an_aggregate_sums_to_one_and_is_never_negative(views: Array, text: str) -> None:
    probabilities = made(views, text)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert (probabilities >= 0).all()


@given(some_rows, aggregations, st.randoms(use_true_random=False))
def test_the_order_of_the_views_changes_no_bit(views: Array, text: str, random: object) -> None:
    order = list(range(len(views)))
    random.shuffle(order)  # type: ignore[attr-defined] # Hypothesis types it as object
    shuffled = made(views[order], text, plain=order.index(0))
    assert shuffled.tobytes() == made(views, text).tobytes()


@given(some_rows, st.data())
def test_the_order_of_weighted_views_changes_no_bit(views: Array, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.01, 9), min_size=len(views), max_size=len(views)))
    order = data.draw(st.permutations(range(len(views))))
    straight = made(views, "weighted", tuple(weights))
    shuffled = made(views[list(order)], "weighted", tuple(weights[place] for place in order))
    assert shuffled.tobytes() == straight.tobytes()


@given(some_rows, aggregations)
def test_an_aggregate_of_one_view_is_that_view_bit_for_bit(views: Array, text: str) -> None:
    assert made(views[:1], text).tobytes() == views[0].tobytes()


@given(some_rows, st.data())
def test_the_weight_of_one_view_alone_makes_that_view_bit_for_bit(
    views: Array, data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(views) - 1))
    weights = tuple(3.7 if place == chosen else 0.0 for place in range(len(views)))
    assert made(views, "weighted", weights).tobytes() == views[chosen].tobytes()


@given(some_rows)
def test_equal_weights_make_the_mean(views: Array) -> None:
    weights = (0.3,) * len(views)
    np.testing.assert_allclose(made(views, "weighted", weights), made(views, "mean"), rtol=1e-12)


def test_a_tie_of_votes_goes_to_the_class_with_the_higher_mean() -> None:
    views = np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]])
    assert made(views, "vote").argmax() == 1
    assert made(views[:, [1, 0, 2]], "vote").argmax() == 0


def test_a_vote_that_is_no_tie_is_never_turned_by_the_mean() -> None:
    views = np.array([[0.51, 0.49]] * 32 + [[0.0, 1.0]] * 31)
    assert made(views, "vote").argmax() == 0


def test_a_product_of_many_small_probabilities_does_not_vanish() -> None:
    views = np.array([[1e-200, 1 - 1e-200], [1e-200, 1 - 1e-200], [1.0, 0.0]] * 20)
    assert np.isfinite(made(views, "logit_mean")).all()
    assert made(views, "logit_mean").sum() == pytest.approx(1)
    never = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert made(never, "logit_mean").tolist() == pytest.approx([0.5, 0.5, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mean", Aggregation("mean")),
        ("sharpen", Aggregation("sharpen", (2.0,))),
        ("sharpen(3)", Aggregation("sharpen", (3.0,))),
        ("blend", Aggregation("blend", (0.25,))),
    ],
)
def test_an_aggregation_is_read_and_has_defaults(text: str, expected: Aggregation) -> None:
    assert parse_aggregation(text) == expected
    assert parse_aggregation(expected.text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("median", 'unknown aggregation "median", one of mean, logit_mean, vote, max'),
        ("sharpen(0)", "T is 0, expected a number from 0.1 to 10"),
        ("blend(1.5)", "beta is 1.5, expected a number from 0 to 1"),
        ("mean(1)", "1 number(s), expected 0: none"),
    ],
)
def test_what_is_no_aggregation_is_told_what_is_known(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="aggregation") as refused:
        parse_aggregation(text)
    assert sentence in str(refused.value)


def test_every_aggregation_is_covered_here() -> None:
    covered = {text.partition("(")[0] for text in TEXTS} | {"weighted"}
    assert covered == set(AGGREGATION_PARAMETERS)
    assert all(a != b for a, b in itertools.combinations(TEXTS, 2))
