"""What an output is, by its last layer, the data and the answers together."""

import numpy as np
import pytest

from batchproof_server.base.signature import Array
from batchproof_server.offline.inspection.guesses import Guess, LikelyKind
from batchproof_server.offline.packing.kinds import kind_of_answers, kind_of_data

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 3, (20, 4))
SIGMOIDS = 1 / (1 + np.exp(-3 * LOGITS))
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("guess", "answers", "kind"),
    [
        ("logits", LOGITS, "logits"),
        ("logits", SOFTMAX, "probabilities"),
        ("probabilities", SOFTMAX, "probabilities"),
        ("probabilities", SIGMOIDS, "multilabel_probabilities"),
        ("multilabel_probabilities", SOFTMAX, "probabilities"),
        ("multilabel_logits", SOFTMAX, "probabilities"),
        ("binary_logit", LOGITS[:, :1], "binary_logit"),
        ("binary_probability", LOGITS[:, :1], "binary_logit"),
        ("raw", SOFTMAX, "raw"),
    ],
    ids=range(9),
)
def test_answers_correct_what_the_last_layer_lets_guess(
    guess: LikelyKind, answers: Array, kind: str
) -> None:
    assert kind_of_answers(Guess(guess, "it ends so"), answers).value == kind


def test_a_doubt_changes_nothing_and_is_said() -> None:
    unsaturated = np.full((20, 1), 0.6)
    settled = kind_of_answers(Guess("binary_logit", "it ends so"), unsaturated)
    assert settled.value == "binary_logit"
    assert "a doubt remains" in settled.reason


def test_answers_that_are_no_numbers_say_nothing() -> None:
    guess: Guess[LikelyKind] = Guess("logits", "it ends so")
    assert kind_of_answers(guess, np.full((20, 3), np.nan)) is guess


@pytest.mark.parametrize("guess", ["logits", "probabilities"])
def test_only_sets_of_labels_make_independent_labels_of_logits(guess: LikelyKind) -> None:
    known: Guess[LikelyKind] = Guess(guess, "it ends so")
    expected = "multilabel_logits" if guess == "logits" else guess
    assert kind_of_data(known, is_multi_label=True).value == expected
    assert kind_of_data(known, is_multi_label=False) is known
