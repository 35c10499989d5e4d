"""Weights of views, fitted by expectation maximisation. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation.measures import LEAST_PROBABILITY

TOLERANCE: Final = 1e-6
"""Nats a picture that the fit may at most lie above the optimum."""

MAX_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The weights that make labelled pictures most likely.

    Attributes:
        weights: float64 [views], 0 or more, summing to 1.
        nlls: negative log-likelihood before each step and after the last, nats a picture.
        gap: nats a picture that the last one is at most above the smallest possible.
    """

    weights: Array
    nlls: tuple[float, ...]
    gap: float

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.nlls) - 1

    @property
    def is_converged(self) -> bool:
        """Whether the optimum is as near as was asked for."""
        return self.gap <= TOLERANCE


def fit_weights(likelihoods: Array, max_steps: int = MAX_STEPS) -> Fitted:
    """The weights ``w`` of a mixture that minimise ``-mean ln sum_k w_k p_k(true class)``.

    Expectation maximisation (Dempster, Laird, Rubin 1977, section 4.3) from equal weights: each
    step multiplies ``w_k`` by ``g_k``, the mean over the pictures of view k's likelihood divided by
    the mixture's. There is no learning rate, no step raises the loss, and the weights stay on the
    simplex by themselves. The loss is convex in ``w``, so there is one optimum, and it is at most
    ``ln max g`` below (Cover 1984, "An algorithm for maximizing expected log investment return",
    where the same iteration chooses a portfolio). The fit ends when that is 1e-6 nats or less.

    Args:
        likelihoods: floating [pictures, views], 1 or more of each: the probability that each view
            gives to the true class. One below ``LEAST_PROBABILITY`` counts as that.
        max_steps: ends the fit all the same.
    """
    given = np.maximum(likelihoods.astype(np.float64), LEAST_PROBABILITY)
    weights = np.full(given.shape[1], 1 / given.shape[1])
    nlls = [mixture_nll(given, weights)]
    gains = _gains(given, weights)
    while _gap(gains) > TOLERANCE and len(nlls) <= max_steps:
        weights = weights * gains
        weights /= weights.sum()  # 1 but for rounding, which must not add up
        nlls.append(mixture_nll(given, weights))
        gains = _gains(given, weights)
    return Fitted(weights, tuple(nlls), _gap(gains))


def mixture_nll(likelihoods: Array, weights: Array) -> float:
    """The mean of ``-ln sum_k w_k p_k``, nats a picture.

    Args:
        likelihoods: floating [pictures, views], above 0.
        weights: float64 [views].
    """
    return float(-np.log(likelihoods @ weights).mean())


def _gains(likelihoods: Array, weights: Array) -> Array:
    mixture = likelihoods @ weights
    gains: Array = (likelihoods / mixture[:, np.newaxis]).mean(axis=0)
    return gains


def _gap(gains: Array) -> float:
    return float(max(0.0, np.log(gains.max())))
