"""Whether a version is worse than another, in words. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from batchproof_server.base.intervals import (
    Interval,
    difference_interval,
    mean_interval,
    share_interval,
)
from batchproof_server.shadowing.tally import PairTally

Judgement: TypeAlias = Literal["worse", "better", "not worse", "not known"]
DEFAULT_TOLERANCE = 0.01
"""How much less often right a version may be without being called worse."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """What is known of a version beside another.

    Attributes:
        judgement: about how often it is right.
        sentences: why, and what else was seen.
    """

    judgement: Judgement
    sentences: tuple[str, ...]


# Contract: without ground truth a shadow is never called worse or better: a row that two versions
# answer differently tells that one is wrong, not which. What is certain is that how often they are
# right differs by no more than how often they disagree.
def assess_shadow(version: int, shadow: int, tally: PairTally, tolerance: float) -> Assessed:
    """Judges a shadow by the rows that it executed.

    Args:
        version: that answered.
        shadow: its number.
        tally: of both.
        tolerance: above 0, as a share of the rows.
    """
    if not tally.compared:
        return Assessed("not known", (f"version {shadow} has executed no row of {version} yet",))
    apart = share_interval(tally.different, tally.compared)
    seen = (
        f"{tally.different} of {tally.compared} rows got another answer from version {shadow}: "
        f"{_percent(apart)}"
    )
    judgement: Judgement = "not known"
    if apart.high <= tolerance:
        judgement = "not worse"
        means = f"so it is right at most {apart.high:.2%} less often than version {version}"
    elif apart.low > tolerance:
        means = (
            "so they differ by more than the tolerance; which of them is right only ground truth "
            "can tell"
        )
    else:
        means = f"too few rows to tell whether that is within the tolerance of {tolerance:.2%}"
    distances = mean_interval(tally.compared, tally.distance_sum, tally.distance_squares)
    distance = () if distances is None else (f"probabilities are {_number(distances)} apart",)
    return Assessed(judgement, (f"{seen}; {means}", *distance, *_slower(shadow, tally)))


def _slower(shadow: int, tally: PairTally) -> tuple[str, ...]:
    slower = mean_interval(tally.timed, tally.slower_sum_s, tally.slower_squares)
    if slower is None:
        return ()
    if slower.low > 0:
        word = "slower"
    elif slower.high < 0:
        word = "quicker"
    else:
        word = "neither slower nor quicker"
    times = (f"{each * 1e3:+.3f}" for each in (slower.estimate, slower.low, slower.high))
    sentence = "version {} is {}: {} ms ({} to {}) an execution of the smallest bucket"
    return (sentence.format(shadow, word, *times),)


@dataclass(frozen=True, slots=True)
class ReportedTruth:
    """What ground truth says of a version: answers that were right, of all that were reported."""

    version: int
    right: int
    total: int


def truth_difference(base: ReportedTruth, newer: ReportedTruth) -> Interval:
    """How much more often the newer version is right."""
    return difference_interval(newer.right, newer.total, base.right, base.total)


def assess_truth(base: ReportedTruth, newer: ReportedTruth, tolerance: float) -> Assessed:
    """Judges a version by the ground truth of its own answers and of another's.

    Args:
        base: the older version.
        newer: the one that is judged.
        tolerance: above 0, as a share of the answers.
    """
    difference = truth_difference(base, newer)
    seen = (
        f"version {newer.version} was right in {newer.right} of {newer.total} answers, version "
        f"{base.version} in {base.right} of {base.total}: a difference of {_percent(difference)}"
    )
    if difference.high < 0:
        return Assessed("worse", (f"{seen}; it is right less often",))
    if difference.low > 0:
        return Assessed("better", (f"{seen}; it is right more often",))
    if difference.low >= -tolerance:
        means = f"it is not right less often by more than the tolerance of {tolerance:.2%}"
        return Assessed("not worse", (f"{seen}; {means}",))
    return Assessed("not known", (f"{seen}; too few answers to tell",))


def _percent(interval: Interval) -> str:
    return f"{interval.estimate:.2%} ({interval.low:.2%} to {interval.high:.2%})"


def _number(interval: Interval) -> str:
    return f"{interval.estimate:.4f} ({interval.low:.4f} to {interval.high:.4f})"
