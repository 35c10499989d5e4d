"""The formulas of docs/drift-rules.md in numpy, for the tests that compare."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def smoothed(reference_counts: NDArray[np.int64]) -> Floats:
    """The reference shares as the server exports them."""
    share: Floats = (reference_counts + 0.5) / (
        reference_counts.sum() + 0.5 * len(reference_counts)
    )
    return share


def distances(n: Floats, p: Floats, reference: float) -> dict[str, float]:
    """PSI, JS, TV and the noise floor of PSI; for N observations and a reference of M."""
    total = n.sum()
    q = (n + 10 * p) / (total + 10)
    middle = (p + q) / 2
    divergence = (q * np.log2(q / middle) + p * np.log2(p / middle)).sum() / 2
    psi = float(((q - p) * np.log(q / p)).sum())
    floor = (len(p) - 1) * (1 / total + 1 / reference)
    return {
        "psi": psi,
        "js_distance": float(np.sqrt(max(divergence, 0))),
        "tv_distance": float(np.abs(q - p).sum() / 2),
        "psi_noise_floor": float(floor),
        "psi_above_noise": float(psi - floor),
    }


def chi_square(n: Floats, p: Floats, reference: float) -> dict[str, float]:
    """Chi-square with rare bins held down, and its Wilson-Hilferty z."""
    freedom = len(p) - 1
    effective = 1 / (1 / n.sum() + 1 / reference)
    difference = effective * (n / n.sum() - p)
    chi2 = (difference**2 / np.maximum(effective * (p + 2 / reference), 1)).sum()
    excess = (np.minimum(1 / p, effective).sum() - len(p) ** 2 - 2 * len(p) + 2) / effective
    spread = (2 * freedom + max(excess, 0)) / (9 * freedom**2)
    z = ((chi2 / freedom) ** (1 / 3) - (1 - spread)) / np.sqrt(spread)
    return {"chi2": float(chi2), "chi2_zscore": float(z)}


def ordered(n: Floats, p: Floats, reference: float, deviations: float) -> dict[str, float]:
    """What needs an order; ``deviations`` is the sum of the standard scores, each plus 10."""
    total = n.sum()
    error = np.sqrt(1 / total + 1 / reference)
    shift = deviations / total - 10
    difference = n / total - p
    cumulative = np.cumsum(difference)
    rank = np.cumsum(p) - p / 2
    squares = p * (cumulative - difference / 2) ** 2 / (rank * (1 - rank))
    return {
        "anderson_darling": float(squares.sum() * total / (1 + total / reference)),
        "mean_shift": float(shift),
        "mean_shift_zscore": float(shift / error),
        "ks": float(np.abs(cumulative).max()),
        "ks_critical": float(1.628 * error),
    }


def significant(figures: dict[str, float], total: float) -> bool:
    """The decision; a class has no order."""
    if "anderson_darling" not in figures:
        return total >= 50 and figures["chi2_zscore"] > 2.6
    return total >= 50 and (figures["chi2_zscore"] > 2.75 or figures["anderson_darling"] > 4.33)
