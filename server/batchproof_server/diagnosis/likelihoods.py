"""How likely figures are among others of which there are few."""

from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

_ROUNDED: Final = 0.5


def log_likelihoods(values: Array, mean: Array, covariance: Array, freedom: float) -> Array:
    """Logarithms of the density of a multivariate Student's t, but for what ``n`` alone decides.

    Args:
        values: float64 [..., n].
        mean: float64 [n], or one for each value, [..., n].
        covariance: the scale matrix, positive definite, float64 [n, n], or one for each value.
        freedom: degrees of freedom; few give distant values a chance.

    Returns:
        float64 [...], in nats.
    """
    count = mean.shape[-1]
    apart = values - mean
    squared = (np.linalg.solve(covariance, apart[..., np.newaxis])[..., 0] * apart).sum(axis=-1)
    _, volume = np.linalg.slogdet(covariance)
    likelihoods: Array = (
        -(freedom + count) / 2 * np.log1p(squared / freedom) - np.asarray(volume) / 2
    )
    return likelihoods


def rounded_covariance(values: Array, least_deviation: float) -> Array:
    """The covariance of few values, drawn half way towards a ball of the same mean variance.

    Args:
        values: float64 [..., values, n], two values or more.
        least_deviation: what is added in every direction.

    Returns:
        float64 [..., n, n], positive definite.
    """
    values_count, count = values.shape[-2:]
    apart = values - values.mean(axis=-2, keepdims=True)
    covariance = np.swapaxes(apart, -1, -2) @ apart / (values_count - 1)
    trace = np.trace(covariance, axis1=-2, axis2=-1)
    variance = _ROUNDED * trace / count + least_deviation**2
    rounded: Array = (1 - _ROUNDED) * covariance + np.multiply.outer(variance, np.eye(count))
    return rounded
