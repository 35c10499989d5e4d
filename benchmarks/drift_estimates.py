"""Accuracy without labels, in several ways: what is served, and what was tried beside it."""

from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.calibration import atc_threshold, fit_temperature, negative_entropy
from batchproof_server.drift.signals import log_sum_exp
from drift_shifts import Answered

ESTIMATORS: Final = (
    "ATC", "DoC", "calibrated", "calibrated by class", "DoC by class", "ATC by class",
    "precision by class", "BBSE", "isotonic",
)  # fmt: skip
"""In the order of ``estimates``."""


def estimates(known: Answered, live: Answered) -> tuple[float, ...]:
    """Each estimate of the accuracy of ``live``, whose truth is not looked at: 0 to 1."""
    temperature = fit_temperature(known.signals.log_probabilities, known.truth)
    then, now = (_confidences(each, temperature) for each in (known, live))
    raw_then, raw_now = (each.signals.values["confidence"] for each in (known, live))
    right = known.signals.classes == known.truth
    return tuple(
        float(np.clip(each, 0, 1))
        for each in (
            _atc(known, live, temperature),
            known.accuracy + raw_now.mean() - raw_then.mean(),
            now.mean(),
            _calibrated_by_class(known, live, then, now),
            _doc_by_class(known, live, raw_then, raw_now),
            _atc_by_class(known, live, temperature),
            _precisions(known)[live.signals.classes].mean(),
            _bbse(known, live),
            _isotonic(then, right, now),
        )
    )


def _confidences(answered: Answered, temperature: float) -> Array:
    scaled = answered.signals.log_probabilities / temperature
    confidence: Array = np.exp(scaled.max(axis=1) - log_sum_exp(scaled))
    return confidence


def _atc(known: Answered, live: Answered, temperature: float) -> float:
    scores = negative_entropy(known.signals.log_probabilities, temperature)
    threshold = atc_threshold(scores, known.accuracy)
    now = negative_entropy(live.signals.log_probabilities, temperature)
    return float((now >= threshold).mean())


def _precisions(known: Answered) -> Array:
    """The share of the answers of each class that is right: float64 [classes]."""
    classes = known.signals.log_probabilities.shape[1]
    answered = np.bincount(known.signals.classes, minlength=classes)
    right = known.signals.classes[known.signals.classes == known.truth]
    found = np.bincount(right, minlength=classes)
    shares: Array = (found + known.accuracy) / (answered + 1)
    return shares


def _by_class(values: Array, classes: Array, count: int) -> Array:
    sums = np.bincount(classes, values, count)
    return sums / np.maximum(1, np.bincount(classes, minlength=count))


def _doc_by_class(known: Answered, live: Answered, then: Array, now: Array) -> float:
    count = known.signals.log_probabilities.shape[1]
    usual = _by_class(then, known.signals.classes, count)
    expected = _precisions(known)[live.signals.classes] + now - usual[live.signals.classes]
    return float(expected.mean())


def _calibrated_by_class(known: Answered, live: Answered, then: Array, now: Array) -> float:
    """Platt's scaling of the log odds of the confidence, a straight line for each class."""
    total, right = 0.0, (known.signals.classes == known.truth).astype(np.float64)
    for each in np.unique(live.signals.classes):
        there, here = known.signals.classes == each, live.signals.classes == each
        slope, offset = _platt(_log_odds(then[there]), right[there])
        total += float(_sigmoid(slope * _log_odds(now[here]) + offset).sum())
    return total / len(now)


def _platt(odds: Array, right: Array) -> tuple[float, float]:
    """Newton's steps for the logistic regression, held to the identity by a prior."""
    beta, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    design = np.stack([odds, np.ones_like(odds)], axis=1)
    for _ in range(25):
        p = _sigmoid(design @ beta)
        gradient = design.T @ (right - p) - (beta - prior)
        hessian = (design * (p * (1 - p))[:, np.newaxis]).T @ design + np.eye(2)
        beta = beta + np.linalg.solve(hessian, gradient)
    return float(beta[0]), float(beta[1])


def _log_odds(confidence: Array) -> Array:
    safe = np.clip(confidence, 1e-6, 1 - 1e-6)
    odds: Array = np.log(safe / (1 - safe))
    return odds


def _sigmoid(values: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return result


def _atc_by_class(known: Answered, live: Answered, temperature: float) -> float:
    """A threshold for each predicted class."""
    then = negative_entropy(known.signals.log_probabilities, temperature)
    now = negative_entropy(live.signals.log_probabilities, temperature)
    above = 0
    precisions = _precisions(known)
    for each in np.unique(live.signals.classes):
        scores = then[known.signals.classes == each]
        threshold = atc_threshold(scores if len(scores) else then, float(precisions[each]))
        above += int((now[live.signals.classes == each] >= threshold).sum())
    return above / len(now)


def _bbse(known: Answered, live: Answered) -> float:
    """Importance weights of the true classes, from the answered ones (Lipton et al. 2018)."""
    count = known.signals.log_probabilities.shape[1]
    joint = np.zeros((count, count))
    np.add.at(joint, (known.signals.classes, known.truth), 1 / len(known.truth))
    now = np.bincount(live.signals.classes, minlength=count) / len(live.truth)
    weights = np.maximum(0, np.linalg.lstsq(joint, now, rcond=0.05)[0])
    return float((weights * np.diag(joint)).sum() / (weights * joint.sum(axis=0)).sum())


def _isotonic(then: Array, right: Array, now: Array) -> float:
    """The share right as a rising function of the confidence (pool adjacent violators)."""
    order = np.argsort(then)
    blocks: list[tuple[float, int]] = []
    for each in right[order].tolist():
        mean, size = float(each), 1
        while blocks and blocks[-1][0] >= mean:
            last, more = blocks.pop()
            mean, size = (mean * size + last * more) / (size + more), size + more
        blocks.append((mean, size))
    fitted = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])
    places = np.searchsorted(then[order], now, side="right") - 1
    return float(fitted[np.maximum(places, 0)].mean())
