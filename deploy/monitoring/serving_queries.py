"""Queries of the dashboard of serving, about the model and the versions that are selected."""

MODEL = 'model="$model", version=~"$version"'
RATE = "[$__rate_interval]"


def rate(metric: str, *matchers: str) -> str:
    """How much a counter grows in a second."""
    return f"rate(batchproof_{metric}{{{', '.join((MODEL, *matchers))}}}{RATE})"


def quantile(q: float, metric: str, *matchers: str) -> str:
    """Of a histogram, over all replicas."""
    return f"histogram_quantile({q}, sum by (le) ({rate(metric + '_bucket', *matchers)}))"


def total(metric: str, *matchers: str) -> str:
    """How much a counter grows in a second, over all replicas."""
    return f"sum({rate(metric, *matchers)})"


def by_label(label: str, metric: str, legend: str = "") -> dict[str, str]:
    """One series for each value of a label, which its legend is too unless it says more."""
    return {legend or f"{{{{{label}}}}}": f"sum by ({label}) ({rate(metric)})"}


def per(numerator: str, denominator: str) -> str:
    """One figure for each of another."""
    return f"{numerator} / ({denominator} > 0)"
