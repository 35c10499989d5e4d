"""Figures of pictures beside those of the reference: how strange they are, and how turned."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.likelihoods import log_likelihoods, rounded_covariance
from batchproof_server.diagnosis.reference import PlaceInReference, ReferenceMeasures, TurnGains

_OUTER: Final = 0.9
_MOST_TYPICAL_GAINS: Final = 2.0
_LEAST_SPREAD_OF_AXES: Final = 0.01
_FREEDOM: Final = 5.0
_LEAST_SPREAD_OF_TURNS: Final = 0.5


def strangeness(place: PlaceInReference, reference: ReferenceMeasures) -> Array:
    """How far out pictures lie: 1 is where the outermost tenth of the reference begins.

    The mean of three: how unlike it is to all reference pictures, how far its scores are from
    theirs, and how much less typical its answer is than their median.

    Returns:
        float64 [pictures].
    """
    known = reference.place
    unlike = (1 - place.likeness) / _outer(1 - known.likeness)
    far = place.distance / _outer(known.distance)
    median = float(np.median(known.typicality))
    odd = (median - place.typicality) / _outer(median - known.typicality)
    mean: Array = (unlike + far + odd) / 3
    return mean


def _outer(values: Array) -> float:
    return max(float(np.quantile(values, _OUTER)), 1e-9)


def best_turns(turns: TurnGains, reference: ReferenceMeasures) -> tuple[Array, Array]:
    """What the best turn gains, in units of what is usual for reference pictures; its place.

    Returns:
        float64 [pictures] and int64 [pictures].
    """
    likeness, typicality = (
        max(float(np.quantile(gains.max(axis=1), 0.95)), floor)
        for gains, floor in ((reference.turns.likeness, 0.05), (reference.turns.typicality, 0.5))
    )
    typical = np.minimum(turns.typicality.clip(min=0) / typicality, _MOST_TYPICAL_GAINS)
    gains = turns.likeness / likeness + typical
    return gains.max(axis=1), gains.argmax(axis=1)


def turn_evidence(axes: Array, known: Array, degrees: Sequence[float]) -> Array:
    """How much more the axes of edges are like the reference's once turned back, in nats.

    The logarithm of the likelihood of ``axes`` turned by one of ``degrees``, each as likely, over
    that of ``axes`` as they are. Upright axes are distributed as Student's t with the mean and the
    covariance of ``known``; the covariance is drawn half way towards a circle, for the reference
    has few pictures. Where it has no axes, as seen from above, turning makes no difference and
    every picture is near 0.

    Args:
        axes: of pictures, see ``edge_axes``, complex128 [pictures].
        known: of the reference, two or more, complex128 [n], or for each picture, [pictures, n].
        degrees: of the turns.

    Returns:
        float64 [pictures].
    """
    back = np.exp(-4j * np.deg2rad(np.array([0.0, *degrees])))
    upright = _plane(known)
    covariance = rounded_covariance(upright, _LEAST_SPREAD_OF_AXES)
    likelihoods = log_likelihoods(
        _plane(axes[:, np.newaxis] * back),
        upright.mean(axis=-2)[..., np.newaxis, :],
        covariance[..., np.newaxis, :, :],
        _FREEDOM,
    )
    turned: Array = np.logaddexp.reduce(likelihoods[:, 1:], axis=1) - np.log(max(1, len(degrees)))
    evidence: Array = turned - likelihoods[:, 0]
    return evidence


def _plane(axes: Array) -> Array:
    """Real and imaginary parts: float64 [..., 2]."""
    parts: Array = np.stack([axes.real, axes.imag], axis=-1)
    return parts


def turnedness(
    turns: TurnGains, place: PlaceInReference, axes: Array, reference: ReferenceMeasures
) -> Array:
    """How turned pictures look, in standard deviations of the reference pictures over their mean.

    Of the sum of what turning gains, twice how strange a picture is, and the evidence of its axes.
    Each reference picture is compared with all others.

    Args:
        turns: of the pictures.
        place: of the pictures.
        axes: of the pictures, complex128 [pictures].
        reference: what they are compared with.

    Returns:
        float64 [pictures].
    """
    known, degrees = reference.looks.axes, reference.turns.degrees
    all_but_one = [np.delete(known, one) for one in range(reference.count)]
    of_known = turn_evidence(known, np.stack(all_but_one), degrees)
    usual = _turn_sum(reference.turns, reference.place, of_known, reference)
    own = _turn_sum(turns, place, turn_evidence(axes, known, degrees), reference)
    number: Array = (own - usual.mean()) / max(float(usual.std()), _LEAST_SPREAD_OF_TURNS)
    return number


def _turn_sum(
    turns: TurnGains, place: PlaceInReference, evidence: Array, reference: ReferenceMeasures
) -> Array:
    gained, _ = best_turns(turns, reference)
    total: Array = gained + 2 * strangeness(place, reference) + evidence
    return total
