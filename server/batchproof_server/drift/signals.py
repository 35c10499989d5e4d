"""The signals of answered rows: one number a row, or its class; vectorised, in float64.

A value that a row does not have, such as the brightness of a row that came as a tensor, is NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.meaning import AnyOfMany
from batchproof_server.base.signature import Array

LATER_SIGNALS: Final = ("blockiness", "saturation", "warmth", "tint")
"""What 0.1.0 did not know, so that profiles of it lack them; and the last three have no row where
pictures have one channel."""
INPUT_SIGNALS: Final = (
    "brightness", "contrast", "sharpness", *LATER_SIGNALS, "aspect_ratio", "tensor_mean",
)  # fmt: skip
"""What is known of a row before the model."""
NUMERIC_SIGNALS: Final = (
    "confidence", "entropy", "margin", "energy", *INPUT_SIGNALS,
    "tta_flip_rate", "tta_mutual_information", "labels",
)  # fmt: skip
"""Every signal but ``class``."""

NATURAL_RANGE: Final[Mapping[str, tuple[float, float]]] = {
    "confidence": (0.0, 1.0),
    "entropy": (0.0, np.inf),
    "margin": (0.0, 1.0),
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 0.5),
    "sharpness": (0.0, np.inf),
    "blockiness": (0.0, np.inf),
    "saturation": (0.0, 1.0),
    "warmth": (-1.0, 1.0),
    "tint": (-1.0, 1.0),
    "aspect_ratio": (0.0, np.inf),
    "tta_flip_rate": (0.0, 1.0),
    "tta_mutual_information": (0.0, np.inf),
    "labels": (0.0, np.inf),
}
"""What a signal can be at all; any number where it is not listed."""

NO_LABEL: Final = "(none)"
"""What the class is called that is answered where no label is above its threshold."""

LEAST_PROBABILITY: Final = float(np.finfo(np.float32).smallest_normal)
"""What a lower probability counts as before its logarithm is taken: answers are float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """The signals of some rows.

    Attributes:
        classes: int64 [rows], the class that is the answer; of independent labels the best one that
            is answered, or their number where none is.
        values: by name, float64 [rows]; NaN where a row has none. A missing name is no row's.
        log_probabilities: float64 [rows, classes]: logits, or ``ln p`` where the model answers with
            probabilities; what the temperature divides. Of independent labels [rows, labels, 2], as
            ``Meaning.apart`` has them. NaN where nobody knows.
        chosen: bool [rows, labels], the labels that are the answer; None for exclusive classes.
    """

    classes: Array
    values: Mapping[str, Array]
    log_probabilities: Array
    chosen: Array | None = None


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


def label_signals(
    probabilities: Array, logits: Array | None, entropy: Array, margin: Array, chosen: Array
) -> Signals:
    """The signals of the scores of independent labels.

    A row is one observation of each signal, as everywhere: its class is the best label that is
    answered, ``labels`` is how many are. The confidence is the probability of the whole answer. The
    energy is ``-sum ln(1 + exp(z))`` (Wang et al. 2021, "Can multi-label classification networks
    know what they don't know?", equation 4).

    Args:
        probabilities: [rows, labels], finite.
        logits: [rows, labels], or None.
        entropy: [rows], in nats.
        margin: [rows], see ``Meaning.margin``.
        chosen: bool [rows, labels].
    """
    meaning, exact = AnyOfMany(), probabilities.astype(np.float64)
    values = {
        "confidence": meaning.probability_of(exact, chosen),
        "entropy": entropy.astype(np.float64),
        "margin": margin.astype(np.float64),
        "labels": chosen.sum(axis=1).astype(np.float64),
    }
    logarithms = np.log(np.maximum(meaning.apart(exact), LEAST_PROBABILITY))
    if logits is not None:
        logarithms = meaning.apart_logits(logits.astype(np.float64))
        values["energy"] = -log_sum_exp(logarithms).sum(axis=1)
    return Signals(meaning.best(exact, chosen), values, logarithms, chosen)


def log_sum_exp(values: Array) -> Array:
    """``ln sum exp`` over the last axis, which is left out: float64; finite for finite values."""
    highest = values.max(axis=-1, keepdims=True)
    total = np.exp(values - highest).sum(axis=-1, keepdims=True)
    result: Array = (highest + np.log(total))[..., 0]
    return result
