"""How likely the truth is once no recipe is surer than it should be. Pure, in float64.

A model that is less sure than it is right gains likelihood from whatever makes it surer, such as a
larger scale, though it answers no picture better. One temperature for all pictures is what that
comes to, so it is taken out of a comparison by giving each side its own.
"""

from typing import Final

import numpy as np

from batchproof_server.base.meaning import Meaning
from batchproof_server.base.signature import Array
from batchproof_server.offline.recipe_search.paired import log_likelihoods

_LEAST_SHARPNESS, _MOST_SHARPNESS = 1 / 50, 50.0
_STEPS: Final = 40
_SMALLEST: Final = 1e-12


def calibrated_logs(probabilities: Array, answers: Array, meaning: Meaning) -> Array:
    """``ln p`` of the true answers under the temperature that fits the other half best.

    Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks", ICML), fitted
    on each half of the pictures and used on the other one, so that no picture judges itself.

    Args:
        probabilities: [pictures, classes]; two pictures or more.
        answers: true ones, as the meaning has them.
        meaning: of the probabilities.

    Returns:
        float64 [pictures].
    """
    known = probabilities.astype(np.float64)
    logs = np.empty(len(known))
    halves = np.arange(len(known)) % 2
    for half in (0, 1):
        fitted, judged = halves != half, halves == half
        sharpness = _best_sharpness(known[fitted], answers[fitted], meaning)
        logs[judged] = _logs(known[judged], answers[judged], meaning, sharpness)
    return logs


def _logs(probabilities: Array, answers: Array, meaning: Meaning, sharpness: float) -> Array:
    apart = sharpness * np.log(np.maximum(meaning.apart(probabilities), _SMALLEST))
    shares = np.exp(apart - apart.max(axis=-1, keepdims=True))
    sharpened = meaning.together(shares / shares.sum(axis=-1, keepdims=True))
    return log_likelihoods(meaning.probability_of(sharpened, answers))


def _best_sharpness(probabilities: Array, answers: Array, meaning: Meaning) -> float:
    """1 by the temperature; the likelihood has one top over it."""
    low, high = np.log(_LEAST_SHARPNESS), np.log(_MOST_SHARPNESS)
    for _ in range(_STEPS):
        third = (high - low) / 3
        left, right = (
            _logs(probabilities, answers, meaning, float(np.exp(place))).mean()
            for place in (low + third, high - third)
        )
        low, high = (low + third, high) if left < right else (low, high - third)
    return float(np.exp((low + high) / 2))
