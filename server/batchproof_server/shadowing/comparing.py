"""A row that two versions answered: whether they agree, and how far they are apart. Pure."""

from dataclasses import dataclass

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.scores import Scores, score
from batchproof_server.base.signature import Tensors
from batchproof_server.models.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two versions said of a row.

    Attributes:
        agrees: whether they give the same class, or the same set of labels.
        distance: 0 to 1, between their probabilities: see ``compare``.
        scores: of the shadow.
    """

    agrees: bool
    distance: float
    scores: Scores


def incomparable(one: LoadedModel, other: LoadedModel) -> str:
    """Why a row of one version cannot be compared with the other's; empty when it can.

    They have to take the same rows, made in the same way, and to answer with the same classes.
    """
    if one.output.kind == "raw" or other.output.kind == "raw":
        return "the output of one of them is raw, it has no classes"
    if one.backend.signature.inputs != other.backend.signature.inputs:
        return "they take different inputs"
    if _recipe(one) != _recipe(other):
        return "their recipes make different rows of one picture"
    if _classes(one) != _classes(other):
        return "they have different classes"
    return ""


def _recipe(model: LoadedModel) -> str:
    return "" if model.recipe is None else model.recipe.digest


def _classes(model: LoadedModel) -> tuple[object, ...]:
    return (model.bundle.labels, model.classes, model.output.is_multi_label)


def compare(
    answered: Tensors, by: LoadedModel, repeated: Tensors, shadow: LoadedModel
) -> Comparison:
    """Compares the answers to one row.

    Of classes that exclude each other the distance is the total variation, half the sum of the
    absolute differences; of independent labels it is the mean over the labels of the total
    variation of each, which is the absolute difference.

    Args:
        answered: one row of the outputs that the caller was given.
        by: the version that gave them.
        repeated: one row of the outputs of the shadow.
        shadow: the other version, comparable with the first.

    Raises:
        InvalidInput: an output is not finite, or has another shape.
    """
    one, other = _scores(answered, by), _scores(repeated, shadow)
    if one.probabilities.shape != other.probabilities.shape:
        raise InvalidInput("the shadow's output has another shape than its signature says")
    difference = np.abs(one.probabilities[0].astype(np.float64) - other.probabilities[0])
    if one.chosen is not None and other.chosen is not None:
        is_same = bool((one.chosen[0] == other.chosen[0]).all())
        return Comparison(is_same, float(difference.mean()), other)
    is_same = bool(one.decided[0] == other.decided[0])
    return Comparison(is_same, float(difference.sum() / 2), other)


def _scores(outputs: Tensors, model: LoadedModel) -> Scores:
    name, kind = model.output.scores()
    return score(outputs[name], kind, model.output.limit)
