"""Independent labels are as many models of two classes, and their answer is a set."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchproof_server.base.meaning import AnyOfMany
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS, ScoresKind
from batchproof_server.base.scores import probabilities_of, score
from batchproof_server.base.signature import Array
from batchproof_server.tta.aggregation import AGGREGATION_PARAMETERS, parse_aggregation
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import is_sure, row_result
from batchproof_server.tta.views import IDENTITY, parse_views
from support.scorings import scoring

KINDS: tuple[ScoresKind, ...] = ("multilabel_logits", "multilabel_probabilities")
shapes = st.tuples(st.integers(1, 6), st.integers(1, 5))
shares = hnp.arrays(np.float64, shapes, elements=st.floats(1e-6, 1 - 1e-6))
limits = st.floats(0.05, 0.95)


@given(shares, limits)
def test_the_answer_is_every_label_above_its_threshold(p: Array, limit: float) -> None:
    scores = score(p, "multilabel_probabilities", limit)
    assert scores.chosen is not None
    for row, given_p in enumerate(scores.probabilities):
        wanted = {each for each, share in enumerate(given_p) if share > np.float32(limit)}
        assert set(scores.labels(row)) == wanted
        assert scores.labels(row) == [each for each in scores.ranking(row, 9) if each in wanted]
        assert scores.decided[row] == (scores.labels(row) or [p.shape[1]])[0]


@given(shares)
def test_each_figure_is_that_of_as_many_models_of_two_classes(p: Array) -> None:
    scores = score(p, "multilabel_probabilities")
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(axis=1)
    assert scores.entropy == pytest.approx(entropy)
    assert scores.margin == pytest.approx(np.abs(p - 0.5).min(axis=1))
    sure = np.where(p.astype(np.float32) > 0.5, p, 1 - p).prod(axis=1)
    assert scores.confidences == pytest.approx(sure, rel=1e-4)


@given(hnp.arrays(np.float32, shapes, elements=st.floats(-40, 40, width=32)))
def test_logits_are_log_odds(z: Array) -> None:
    scores = score(z, "multilabel_logits")
    expected = [[1 / (1 + math.exp(-each)) for each in row] for row in z.tolist()]
    np.testing.assert_allclose(scores.probabilities, expected, rtol=1e-6)
    np.testing.assert_array_equal(scores.logits, z)


def test_each_label_may_have_a_threshold_of_its_own() -> None:
    p = np.array([[0.3, 0.3, 0.3]])
    output = OutputSettings("multilabel_probabilities", "y", None, (0.2, 0.3, 0.4))
    assert score(p, "multilabel_probabilities", output.limit).labels(0) == [0]


@pytest.mark.parametrize("kind", KINDS)
@given(p=shares)
def test_probabilities_come_back_from_the_output_that_is_made_of_them(
    kind: ScoresKind, p: Array
) -> None:
    np.testing.assert_allclose(probabilities_of(FORMS[kind].output(p), kind), p, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@given(p=shares)
def test_a_row_is_scored_alike_alone_and_together(kind: ScoresKind, p: Array) -> None:
    output = FORMS[kind].output(p).astype(np.float32)
    parts = [output[row : row + 1] for row in range(len(output))]
    for part, together in zip(parts, scoring(kind).score_together(parts), strict=True):
        alone = score(part, kind)
        assert alone.chosen is not None
        assert together.chosen is not None
        for name in ("probabilities", "entropy", "margin", "decided", "confidences", "chosen"):
            assert getattr(alone, name).tobytes() == getattr(together, name).tobytes()


@pytest.mark.parametrize("name", sorted(set(AGGREGATION_PARAMETERS) - {"weighted"}))
@given(
    p=hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 5), st.integers(1, 4)),
        elements=st.floats(1e-6, 1 - 1e-6),
    )
)
def test_views_are_aggregated_label_by_label(name: str, p: Array) -> None:
    views = (IDENTITY, *parse_views(("hflip", "vflip", "rot90", "rot180"))[: len(p) - 1])
    plan = Plan("own", views, parse_aggregation(name), meaning=AnyOfMany())
    together = row_result(plan, p)
    assert ((together.probabilities >= 0) & (together.probabilities <= 1)).all()
    for label in range(p.shape[1]):
        alone = row_result(plan, p[:, label : label + 1])
        assert together.probabilities[label] == alone.probabilities[0]
    if name == "mean":
        assert together.probabilities == pytest.approx(p.mean(axis=0))


def test_views_flip_when_another_set_of_labels_is_answered() -> None:
    plan = Plan("own", parse_views(("identity", "hflip")), meaning=AnyOfMany())
    assert row_result(plan, np.array([[0.9, 0.6], [0.9, 0.1]])).flip_rate == 0.5
    assert row_result(plan, np.array([[0.9, 0.6], [0.8, 0.7]])).flip_rate == 0


def test_a_row_is_sure_when_its_whole_answer_is() -> None:
    plan = Plan("own", (IDENTITY,), early_exit=0.7, meaning=AnyOfMany())
    assert is_sure(plan, np.array([0.9, 0.1]))
    assert not is_sure(plan, np.array([0.9, 0.3]))


def test_votes_need_the_even_threshold() -> None:
    views = parse_views(("identity", "hflip"))
    Plan("own", views, parse_aggregation("vote"), meaning=AnyOfMany())
    with pytest.raises(ValueError, match="counts views"):
        Plan("own", views, parse_aggregation("vote"), meaning=AnyOfMany(0.4))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"thresholds": (0.5,), "threshold": 0.5}, "both given"),
        ({"thresholds": ()}, "is empty"),
        ({"thresholds": (0.5, 1.0)}, r"thresholds\[1\] is 1.0, expected above 0 and below 1"),
        ({"kind": "logits", "thresholds": (0.5,)}, "belong to several independent labels"),
        ({"kind": "binary_logit", "thresholds": (0.5,)}, "belong to several independent labels"),
    ],
)
def test_thresholds_are_of_independent_labels(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OutputSettings(**{"kind": "multilabel_logits", "name": "y"} | settings)  # type: ignore[arg-type]
