"""A whole log of predictions, counted as the server counts its answers."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from batchproof_server.base.files import STANDARD_INPUT
from batchproof_server.base.signature import Array
from batchproof_server.drift.counters import DriftCounts, Ruler
from batchproof_server.drift.signals import (
    NUMERIC_SIGNALS,
    Signals,
    label_signals,
    prediction_signals,
)
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.prediction_log.lines import (
    InvalidLine,
    LoggedAnswer,
    LoggedModel,
    parse_line,
)

_MAX_LINE_BYTES: Final = 16 << 20
_ROWS_AT_ONCE: Final = 1024
_MOST_FAULTS: Final = 1000
_SHOWN_FAULTS: Final = 18
_WAY_OUT: Final = "mend or remove these lines, or leave them out with --skip-faulty"


@dataclass(slots=True)
class CountedLog:
    """What a log holds.

    Attributes:
        counts: of the bins of the profile.
        lines: that are not empty.
        left_out: how many of them are no observations, by the reason.
        faults: what is wrong with lines that were left out; each begins with their place.
        confidence_sum: of the rows that say it.
        confidence_count: how many these are.
    """

    counts: DriftCounts
    lines: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    confidence_sum: float = 0.0
    confidence_count: int = 0

    @property
    def confidence(self) -> float:
        """The mean; NaN where no row says it."""
        if not self.confidence_count:
            return float("nan")
        return self.confidence_sum / self.confidence_count


def count_log(path: Path, model: LoggedModel, *, skips_faulty: bool = False) -> CountedLog:
    """Reads and counts a log; in memory there are never more than 1,024 answers of it.

    Args:
        path: a file of lines; a folder of such files (``*.json``, ``*.jsonl``); ``-`` for standard
            input.
        model: whose answers they must be.
        skips_faulty: leaves lines out that cannot be used, instead of refusing the log.

    Raises:
        InvalidData: there is no line, or some cannot be used; each is named by its number.
        OSError: it cannot be read.
    """
    ruler = Ruler(model.profile)
    log = CountedLog(ruler.nothing())
    waiting: list[LoggedAnswer] = []
    for place, line in _lines(path):
        log.lines += 1
        try:
            said = _parsed(line, model)
        except InvalidLine as fault:
            log.faults.append(f"{place}: {fault}")
            if len(log.faults) == _MOST_FAULTS and not skips_faulty:
                break
            continue
        if isinstance(said, str):
            log.left_out[said] += 1
            continue
        waiting.append(said)
        if len(waiting) == _ROWS_AT_ONCE:
            _count(log, ruler, waiting)
            waiting = []
    if waiting:
        _count(log, ruler, waiting)
    if log.faults and not skips_faulty:
        shown, more = log.faults[:_SHOWN_FAULTS], log.faults[_SHOWN_FAULTS:]
        raise InvalidData([*shown, *_more(more), _WAY_OUT])
    if not log.lines:
        raise InvalidData([f"{path}: no lines, expected answers as JSON lines"])
    return log


def _more(faults: Sequence[str]) -> Iterator[str]:
    if faults:
        yield f"and {len(faults)} more"


def _parsed(line: bytes, model: LoggedModel) -> LoggedAnswer | str:
    if len(line) > _MAX_LINE_BYTES:
        raise InvalidLine(f"it has more than {_MAX_LINE_BYTES} bytes")
    return parse_line(line, model)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line that is not empty, and where it is."""
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.rglob("*.json*") if each.is_file())
    for file in files:
        name = file.relative_to(path).as_posix() + " " if path.is_dir() else ""
        with _opened(file) as stream:
            for number, line in enumerate(_bounded(stream), start=1):
                if line.strip():
                    yield f"{name}line {number}", line


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with file.open("rb") as stream:
        yield stream


def _bounded(stream: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is too long its beginning, and the rest is read and forgotten."""
    while line := stream.readline(_MAX_LINE_BYTES + 1):
        rest = line
        while len(rest) > _MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(_MAX_LINE_BYTES + 1)
        yield line


def _count(log: CountedLog, ruler: Ruler, answers: Sequence[LoggedAnswer]) -> None:
    signals = logged_signals(answers)
    log.counts = log.counts + ruler.counted(signals)
    confidence = signals.values["confidence"]
    there = confidence[np.isfinite(confidence)]
    log.confidence_sum += float(there.sum())
    log.confidence_count += len(there)


def logged_signals(answers: Sequence[LoggedAnswer]) -> Signals:
    """The signals of some rows; the confidence only where every probability is there.

    The score of the best class is a float32, in which one minus a billionth is 1. So it is not the
    confidence that the reference has, which is known from the other probabilities.

    Args:
        answers: one or more.
    """
    values = {
        name: np.array([each.values.get(name, np.nan) for each in answers])
        for name in NUMERIC_SIGNALS
    }
    for has_logits in (False, True):
        rows = [
            row
            for row, each in enumerate(answers)
            if each.probabilities is not None and (each.logits is not None) is has_logits
        ]
        if rows:
            for name, found in _of_scores([answers[row] for row in rows]).items():
                values[name][rows] = found
    classes = np.array([each.answered for each in answers])
    return Signals(classes, values, np.full((len(answers), 1), np.nan))


def _of_scores(answers: Sequence[LoggedAnswer]) -> Mapping[str, Array]:
    """What their probabilities say."""
    probabilities = np.stack(
        [each.probabilities for each in answers if each.probabilities is not None]
    )
    given = [each.logits for each in answers if each.logits is not None]
    logits = np.stack(given) if given else None
    entropy = np.array([each.values["entropy"] for each in answers])
    chosen = [each.chosen for each in answers if each.chosen is not None]
    if chosen:
        margin = np.array([each.values["margin"] for each in answers])
        return label_signals(probabilities, logits, entropy, margin, np.stack(chosen)).values
    decided = np.array([each.answered for each in answers])
    return prediction_signals(probabilities, logits, entropy, decided).values
