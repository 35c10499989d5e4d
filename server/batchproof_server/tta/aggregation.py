"""One answer from the views of a row, in float64.

With p_k the probabilities of view k of K and w_k its weight (1/K, or given, with sum 1):

==============  =================================================================================
mean            sum of w_k p_k
logit_mean      softmax of the sum of w_k ln p_k, the renormalised geometric mean
vote            0.999 times the share of the views whose best class it is + 0.001 times the mean,
                so that ties go to the class with the higher mean
max             max of p_k; usually harms, see docs/tta.md
sharpen(T)      sum of p_k^(1/T) / K
blend(beta)     beta times the plain view + (1 - beta) times the mean of the others
weighted        mean with weights that are given
==============  =================================================================================

Each result is divided by its own sum, which is over the last axis: independent labels each have two
probabilities there. Products are sums of logarithms, in which a probability counts as at least
1e-300. Contract: the order of the views (with their weights) does not change one bit, since what is
added over the views is sorted first; a view of weight 0 has no part; and what is made of a single
view is that view, bit for bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.tta.views import Parameter, call_text, parse_call

_LEAST_PROBABILITY: Final = 1e-300
_TIE_SHARE: Final = 0.001

AGGREGATION_PARAMETERS: Final[dict[str, tuple[Parameter, ...]]] = {
    "mean": (),
    "logit_mean": (),
    "vote": (),
    "max": (),
    "sharpen": (Parameter("T", 0.1, 10.0, default=2.0),),
    "blend": (Parameter("beta", 0.0, 1.0, default=0.25),),
    "weighted": (),
}
"""Every aggregation by name, with its numbers."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How views become one answer; made by ``parse_aggregation``.

    Attributes:
        name: one of ``AGGREGATION_PARAMETERS``.
        numbers: one for each parameter.
    """

    name: str
    numbers: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The one way to write it."""
        return call_text(self.name, self.numbers)


MEAN: Final = Aggregation("mean")
WEIGHTED: Final = Aggregation("weighted")


def parse_aggregation(text: str) -> Aggregation:
    """Reads ``name`` or ``name(number)``; ``sharpen`` alone is T = 2, ``blend`` beta = 0.25.

    Raises:
        ValueError: it is unknown or has other numbers; the text names what is known.
    """
    return Aggregation(*parse_call("aggregation", text, AGGREGATION_PARAMETERS))


def aggregate(
    views: Array, aggregation: Aggregation, weights: tuple[float, ...], plain: int | None
) -> Array:
    """The probabilities of one row.

    Args:
        views: float64 [views, classes], the probabilities of each view; or [views, labels, 2].
        aggregation: how.
        weights: one for each view, 0 or above, not all 0; used by ``weighted`` only.
        plain: the place of the view ``identity``; used by ``blend`` only, which needs it.

    Returns:
        float64 [classes], or [labels, 2].
    """
    if aggregation.name == "weighted":
        return _weighted(views, np.array(weights, np.float64))
    if len(views) == 1:
        only: Array = views[0]
        return only
    if aggregation.name == "blend" and plain is not None:
        return _blend(views, plain, *aggregation.numbers)
    return _normalized(_WAYS[aggregation.name](views, *aggregation.numbers))


def exact_mean(views: Array) -> Array:
    """The mean over axis 0, whose bits do not depend on the order on that axis."""
    mean: Array = _sum(views) / len(views)
    return mean


def _sum(terms: Array) -> Array:
    total = np.zeros(terms.shape[1:])
    for term in np.sort(terms, axis=0):
        total += term
    return total


def _normalized(values: Array) -> Array:
    normalized: Array = values / values.sum(axis=-1, keepdims=True)
    return normalized


def _logarithms(views: Array) -> Array:
    logarithms: Array = np.log(np.maximum(views, _LEAST_PROBABILITY))
    return logarithms


def _weighted(views: Array, weights: Array) -> Array:
    taking_part = weights > 0
    views, weights = views[taking_part], weights[taking_part]
    if len(views) == 1:
        single: Array = views[0]
        return single
    return _normalized(_sum(views * weights.reshape(-1, *[1] * (views.ndim - 1))))


def _logit_mean(views: Array) -> Array:
    logarithms = exact_mean(_logarithms(views))
    result: Array = np.exp(logarithms - logarithms.max(axis=-1, keepdims=True))
    return result


def _vote(views: Array) -> Array:
    best = views.argmax(axis=-1)[..., np.newaxis] == np.arange(views.shape[-1])
    votes = best.sum(axis=0) / len(views)
    result: Array = (1 - _TIE_SHARE) * votes + _TIE_SHARE * _normalized(exact_mean(views))
    return result


def _max(views: Array) -> Array:
    highest: Array = views.max(axis=0)
    return highest


def _sharpen(views: Array, temperature: float) -> Array:
    logarithms = _logarithms(views) / temperature
    greatest = logarithms.max(axis=(0, -1), keepdims=True)
    return _sum(np.exp(logarithms - greatest))


def _blend(views: Array, plain: int, beta: float) -> Array:
    others = np.delete(views, plain, axis=0)
    return _normalized(beta * views[plain] + (1 - beta) * exact_mean(others))


_WAYS: Final[dict[str, Callable[..., Array]]] = {
    "mean": exact_mean,
    "logit_mean": _logit_mean,
    "vote": _vote,
    "max": _max,
    "sharpen": _sharpen,
}
