"""``--compare A.json B.json``: two saved reports side by side."""

from pathlib import Path
from typing import Final

from batchproof_client.errors import LocalInputError
from batchproof_client.loadtest.report import Document, read_report
from batchproof_client.loadtest.units import duration, rate

HEADINGS: Final = ("figure", "A", "B", "B / A")
_PERCENTILES: Final = {"p50_s": "p50", "p90_s": "p90", "p99_s": "p99", "p999_s": "p99.9"}
_TIMES: Final = {
    "latency": "latency",
    "service": "service time",
    "queue_delay": "queue delay",
    "execution": "execution",
    "send_lag": "send lag",
}


def read_comparable(path: Path) -> Document:
    """Reads a saved report that has every figure to compare.

    Raises:
        LocalInputError: the file cannot be read, is no report, or lacks figures.
    """
    report = read_report(path)
    try:
        compared(report, report)
        same_load(report, report)
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        raise LocalInputError(f"{path}: figures are missing, expected a saved report") from fault
    return report


def compared(first: Document, second: Document) -> list[tuple[str, str, str, str]]:
    """A row for each figure that at least one of two reports has."""
    rows = [
        _row(title, first["total"][name], second["total"][name], is_rate=True)
        for name, title in (("sent_hz", "sent"), ("goodput_hz", "goodput"), ("rows_hz", "rows"))
    ]
    rows += [
        _row(f"{title} {short}", _time(first, name, key), _time(second, name, key))
        for name, title in _TIMES.items()
        for key, short in _PERCENTILES.items()
    ]
    codes = sorted(set(first["total"]["codes"]) | set(second["total"]["codes"]))
    rows += [_code_row(code, first, second) for code in codes]
    return [row for row in rows if row[1] or row[2]]


def same_load(first: Document, second: Document) -> bool:
    """Whether both were asked for the same, so that the comparison is fair."""
    return bool(first["load"] == second["load"])


def _time(report: Document, name: str, key: str) -> float | None:
    found: float | None = report["total"]["durations"][name][key]
    return found


def _row(
    name: str, first: float | None, second: float | None, *, is_rate: bool = False
) -> tuple[str, str, str, str]:
    written = rate if is_rate else duration
    ratio = f"{second / first:.3f}" if first and second is not None else ""
    return (
        name,
        "" if first is None else written(first),
        "" if second is None else written(second),
        ratio,
    )


def _code_row(code: str, first: Document, second: Document) -> tuple[str, str, str, str]:
    shares = [
        report["total"]["codes"].get(code, 0) / max(report["total"]["requests"], 1)
        for report in (first, second)
    ]
    return (f"{code} share", f"{shares[0]:.2%}", f"{shares[1]:.2%}", "")
