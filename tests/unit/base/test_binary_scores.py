"""Binary outputs are two classes, and go back to the output that they came from."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.meaning import MOST_PROBABLE
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS, ScoresKind
from batchproof_server.base.scores import probabilities_of, score
from batchproof_server.base.signature import Array

KINDS: tuple[ScoresKind, ...] = ("binary_logit", "binary_probability")
ALL: tuple[ScoresKind, ...] = ("logits", "probabilities", *KINDS)
dtypes = st.sampled_from((np.float16, np.float32, np.float64))
lengths = st.integers(1, 20)
logits = hnp.arrays(dtypes, lengths, elements=st.floats(-60, 60, width=16))
shares = hnp.arrays(dtypes, lengths, elements=st.floats(0, 1, width=16))


def column(kind: ScoresKind) -> st.SearchStrategy[Array]:
    return logits if FORMS[kind].has_logits else shares


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


@given(logits)
def test_a_logit_is_the_log_odds_of_the_second_class(z: Array) -> None:
    scores = score(z[:, np.newaxis], "binary_logit")
    expected = [[sigmoid(-float(each)), sigmoid(float(each))] for each in z]
    np.testing.assert_allclose(scores.probabilities, expected, rtol=1e-6, atol=1e-38)
    assert scores.logits is not None
    np.testing.assert_array_equal(scores.logits, [[0, each] for each in z.astype(np.float32)])
    assert scores.margin == pytest.approx([abs(p - q) for p, q in expected], abs=1e-12)


@given(shares)
def test_a_probability_is_that_of_the_second_class(p: Array) -> None:
    scores = score(p[:, np.newaxis], "binary_probability")
    exact = p.astype(np.float64)
    np.testing.assert_array_equal(
        scores.probabilities, np.stack([1 - exact, exact], axis=1).astype(np.float32)
    )
    assert scores.logits is None


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_one_value_a_row_is_the_same_with_and_without_its_axis(
    kind: ScoresKind, data: st.DataObject
) -> None:
    flat = data.draw(column(kind))
    one, other = score(flat, kind), score(flat[:, np.newaxis], kind)
    for name in ("probabilities", "entropy", "margin"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_the_scores_of_a_row_are_the_same_bits_in_any_company(
    kind: ScoresKind, data: st.DataObject
) -> None:
    came = data.draw(column(kind))
    together = score(came, kind)
    for row in range(len(came)):
        alone = score(came[row : row + 1], kind)
        for name in ("probabilities", "entropy", "margin"):
            bits = getattr(together, name)[row].tobytes()
            assert getattr(alone, name)[0].tobytes() == bits


@pytest.mark.parametrize("kind", ALL)
@given(p=hnp.arrays(np.float64, lengths, elements=st.floats(1e-12, 1 - 1e-12)))
def test_probabilities_come_back_from_the_output_that_is_made_of_them(
    kind: ScoresKind, p: Array
) -> None:
    probabilities = np.stack([1 - p, p], axis=1)
    output = FORMS[kind].output(probabilities)
    assert output.shape == ((len(p),) if FORMS[kind].is_binary else (len(p), 2))
    np.testing.assert_allclose(probabilities_of(output, kind), probabilities, rtol=1e-9)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_output_of_a_certain_answer_is_finite(kind: ScoresKind, p: float) -> None:
    probabilities = np.array([[1 - p, p]])
    output = FORMS[kind].output(probabilities)
    assert np.isfinite(output.astype(np.float32)).all()
    np.testing.assert_allclose(probabilities_of(output, kind), probabilities, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_an_output_that_is_not_finite_names_its_row(
    kind: ScoresKind, shape: tuple[int, ...]
) -> None:
    came = np.array([0.5, np.nan, 0.5]).reshape(shape)
    with pytest.raises(InvalidInput, match="row 1"):
        score(came, kind)


def test_outputs_of_several_classes_stay_as_they_are() -> None:
    came = np.ones((2, 3), np.float32)
    assert FORMS["logits"].columns(came) is came


def test_only_an_output_with_a_name_and_scores_has_scores() -> None:
    assert OutputSettings("binary_logit", "y").scores() == ("y", "binary_logit")
    for settings in (OutputSettings("raw"), OutputSettings("logits")):
        with pytest.raises(ValueError, match="holds no scores"):
            settings.scores()


@given(shares, st.floats(2**-10, 1 - 2**-10, width=32))
def test_the_second_class_is_the_answer_above_the_threshold(p: Array, threshold: float) -> None:
    scores = score(p, "binary_probability", threshold)
    given_p = scores.probabilities[:, 1]
    assert scores.decided.tolist() == [int(each > threshold) for each in given_p]
    for row in range(len(p)):
        first = int(scores.decided[row])
        assert scores.ranking(row, 5) == [first, 1 - first]
        assert scores.ranking(row, 1) == [first]
    plain = score(p, "binary_probability")
    for name in ("probabilities", "entropy", "margin"):
        assert getattr(scores, name).tobytes() == getattr(plain, name).tobytes()


@given(
    hnp.arrays(
        np.float32, st.tuples(lengths, st.integers(1, 5)), elements=st.floats(0, 1, width=32)
    )
)
def test_without_a_threshold_the_answer_is_the_most_probable_class(p: Array) -> None:
    answers = MOST_PROBABLE.answers(p)
    np.testing.assert_array_equal(answers[:, 0], p.argmax(axis=1))
    np.testing.assert_array_equal(MOST_PROBABLE.probability_of(p, answers), p.max(axis=1))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_lies_between_0_and_1(threshold: float) -> None:
    with pytest.raises(ValueError, match="expected above 0 and below 1"):
        OutputSettings("binary_logit", "y", threshold)


@pytest.mark.parametrize("kind", ["logits", "probabilities", "raw"])
def test_only_a_binary_model_has_a_threshold(kind: ScoresKind) -> None:
    with pytest.raises(ValueError, match=f'threshold is 0.5, expected none: kind is "{kind}"'):
        OutputSettings(kind, None, 0.5)
