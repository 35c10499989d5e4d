"""The signals of answered rows: one number a row, or its class; vectorised, in float64.

A value that a row does not have, such as the brightness of a row that came as a tensor, is NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

NUMERIC_SIGNALS: Final = (
    "confidence", "entropy", "margin", "energy",
    "brightness", "contrast", "sharpness", "aspect_ratio", "tensor_mean",
    "tta_flip_rate", "tta_mutual_information",
)  # fmt: skip
"""Every signal but ``class``."""

NATURAL_RANGE: Final[Mapping[str, tuple[float, float]]] = {
    "confidence": (0.0, 1.0),
    "entropy": (0.0, np.inf),
    "margin": (0.0, 1.0),
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 0.5),
    "sharpness": (0.0, np.inf),
    "aspect_ratio": (0.0, np.inf),
    "tta_flip_rate": (0.0, 1.0),
    "tta_mutual_information": (0.0, np.inf),
}
"""What a signal can be at all; any number where it is not listed."""

LEAST_PROBABILITY: Final = float(np.finfo(np.float32).smallest_normal)
"""What a lower probability counts as before its logarithm is taken: answers are float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """The signals of some rows.

    Attributes:
        classes: int64 [rows], the class that is the answer.
        values: by name, float64 [rows]; NaN where a row has none. A missing name is no row's.
        log_probabilities: float64 [rows, classes]: logits, or ``ln p`` where the model answers with
            probabilities; what the temperature divides.
    """

    classes: Array
    values: Mapping[str, Array]
    log_probabilities: Array


def prediction_signals(
    probabilities: Array, logits: Array | None, entropy: Array, decided: Array
) -> Signals:
    """The signals of the scores alone.

    The confidence is ``1 - (sum of the other probabilities)``: the same number as the highest
    probability, but with its distance from 1 kept where float32 would round it to 1. The margin is
    the confidence minus the second highest probability. The energy is ``-ln sum exp(logits)`` (Liu
    et al. 2020, "Energy-based Out-of-distribution Detection", equation 4 with T = 1); a model that
    answers with probabilities has none.

    Args:
        probabilities: [rows, classes], finite.
        logits: [rows, classes], or None.
        entropy: [rows], Shannon entropy in nats.
        decided: int64 [rows], the class that is the answer; confidence and margin are of the most
            probable one.
    """
    exact = probabilities.astype(np.float64)
    rows = np.arange(len(exact))
    others = exact.copy()
    others[rows, exact.argmax(axis=1)] = 0.0
    confidence = np.clip(1.0 - others.sum(axis=1), 0.0, 1.0)
    values = {
        "confidence": confidence,
        "entropy": entropy.astype(np.float64),
        "margin": np.maximum(confidence - others.max(axis=1), 0.0),
    }
    if logits is None:
        return Signals(decided, values, np.log(np.maximum(exact, LEAST_PROBABILITY)))
    scaled = logits.astype(np.float64)
    values["energy"] = -log_sum_exp(scaled)
    return Signals(decided, values, scaled)


def log_sum_exp(values: Array) -> Array:
    """``ln sum exp`` of each row: float64 [rows]; finite for finite values."""
    highest = values.max(axis=1, keepdims=True)
    result: Array = (highest + np.log(np.exp(values - highest).sum(axis=1, keepdims=True)))[:, 0]
    return result
