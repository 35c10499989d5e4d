"""What outputs are, as their last layer, their answers and the labelled data say together. Pure."""

from collections.abc import Iterable
from typing import Final

from batchproof_server.base.output_forms import FORMS, ScoresForm, finite_rows
from batchproof_server.base.signature import Array
from batchproof_server.offline.inspection.guesses import Guess, LikelyKind

# What is tried where the answers contradict the last layer: probabilities can be told from logits,
# logits from nothing.
_ORDER: Final = (
    "probabilities",
    "multilabel_probabilities",
    "binary_probability",
    "logits",
    "binary_logit",
)


def kind_of_data(guess: Guess[LikelyKind], *, is_multi_label: bool) -> Guess[LikelyKind]:
    """The kind of an output with what labelled data say of it.

    Args:
        guess: by the last layer.
        is_multi_label: whether the data have a set of labels for each picture.
    """
    if is_multi_label and guess.value == "logits":
        return Guess("multilabel_logits", f"{guess.reason}; the data have sets of labels")
    return guess


def kind_of_answers(guess: Guess[LikelyKind], answers: Array) -> Guess[LikelyKind]:
    """The kind of an output with what its answers say of it.

    Args:
        guess: by the last layer and the data.
        answers: [rows, ...], to pictures and noise.
    """
    form, rows = FORMS.get(guess.value), finite_rows(answers)
    if form is None or not len(rows):
        return guess
    contradiction = form.contradiction(rows)
    if contradiction is None:
        return Guess(guess.value, f"{guess.reason}; {len(rows)} answers agree")
    if not contradiction.is_certain:
        return Guess(guess.value, f"{guess.reason}; a doubt remains: {contradiction.detail}")
    for other in _candidates(answers):
        if other.contradiction(rows) is None:
            said = contradiction.detail.partition("; expected")[0].removeprefix("declared ")
            return Guess(other.name, f"the answers decide: taken for {said}")
    return guess


def _candidates(answers: Array) -> Iterable[ScoresForm]:
    return (FORMS[name] for name in _ORDER if FORMS[name].fits(answers.shape))
