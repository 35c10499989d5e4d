"""Whether any policy is worth its cost: the rule, and its sentence. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchproof_server.base.signature import Array
from batchproof_server.offline.evaluation.augmentation.figures import Figures
from batchproof_server.offline.evaluation.augmentation.paired import (
    SIGNIFICANT,
    Paired,
    holm,
    paired,
)
from batchproof_server.tta.policies import NONE

_SMALLEST_P: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer costs.

    Attributes:
        views: rows that the model executes for a picture.
        picture_s: seconds from the encoded picture to its scores, alone; the median.
        ratio: that, divided by the same of a plain answer.
    """

    views: int
    picture_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One policy with one aggregation, against the plain answers.

    Attributes:
        policy: its name.
        aggregation: of the views' answers.
        figures: of the answers.
        change: corrected and corrupted pictures.
        adjusted_p: McNemar's p-value after Holm's adjustment over all trials.
        cost: of an answer.
    """

    policy: str
    aggregation: str
    figures: Figures
    change: Paired
    adjusted_p: float
    cost: Cost

    @property
    def title(self) -> str:
        """As reports call it."""
        return f"{self.policy}, {self.aggregation}"

    @property
    def is_gain(self) -> bool:
        """Whether it corrects more than it corrupts, and not by luck."""
        return self.change.net > 0 and self.adjusted_p < SIGNIFICANT

    @property
    def is_harm(self) -> bool:
        """Whether it corrupts more than it corrects, and not by luck."""
        return self.change.net < 0 and self.adjusted_p < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to serve.

    Attributes:
        policy: ``none`` where no gain is significant.
        aggregation: empty with ``none``.
        why: one sentence.
    """

    policy: str
    aggregation: str
    why: str


def adjust(changes: Sequence[Paired]) -> tuple[float, ...]:
    """The p-values of all trials, adjusted for how many there are."""
    return holm([change.p_value for change in changes])


def recommended(trials: Sequence[Trial], right: Sequence[Array]) -> Recommendation:
    """Of the significant gains that are not shown to be smaller than the greatest, the cheapest.

    Which is the one with the fewest views, and among equals that with the lowest NLL. A gain is
    shown to be smaller when McNemar's p-value of the two is below 0.05.

    Args:
        trials: all that were made, one or more.
        right: of each, bool [pictures], which were right.
    """
    made = sorted(zip(trials, right, strict=True), key=lambda pair: -pair[0].change.net)
    gains = [(trial, answers) for trial, answers in made if trial.is_gain]
    if not gains:
        return Recommendation(NONE, "", _no_gain(made[0][0], len(trials)))
    greatest = gains[0][1]
    as_good = [
        trial for trial, answers in gains if paired(greatest, answers).p_value >= SIGNIFICANT
    ]
    chosen = min(as_good, key=lambda trial: (trial.cost.views, trial.figures.nll))
    return Recommendation(chosen.policy, chosen.aggregation, _gain(chosen, len(trials)))


def p_text(p_value: float) -> str:
    """A p-value to two digits; one that is too small for a float is told as below 1e-300."""
    return f"{p_value:.2g}" if p_value >= _SMALLEST_P else f"<{_SMALLEST_P:g}"


def p_sentence(p_value: float) -> str:
    """The same as it stands in a sentence: ``p = 0.02``, or ``p < 1e-300``."""
    return f"p = {p_text(p_value)}".replace("= <", "< ")


def _gain(trial: Trial, tried: int) -> str:
    return f"{_change(trial)}, {_p_value(trial, tried)} is below {SIGNIFICANT}"


def _no_gain(best: Trial, tried: int) -> str:
    if best.change.net <= 0:
        return f"nothing corrects more than it corrupts; the least bad: {best.title}"
    return (
        f"no gain is significant; the greatest, {best.title}, {_change(best)}, but "
        f"{_p_value(best, tried)} is not below {SIGNIFICANT}"
    )


def _change(trial: Trial) -> str:
    return f"corrects {trial.change.corrected} pictures and corrupts {trial.change.corrupted}"


def _p_value(trial: Trial, tried: int) -> str:
    return f"{p_sentence(trial.adjusted_p)} (McNemar, Holm over {tried} trials)"
