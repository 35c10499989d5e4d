"""Where the picture and its answer lie in the reference profile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold
from batchproof_server.drift.calibration import CALIBRATION_BINS
from batchproof_server.drift.profile import ClassReference, ReferenceProfile, SignalReference
from batchproof_server.drift.signals import INPUT_SIGNALS

_RARE: Final = Threshold(
    0.01,
    "one signal of many is beyond 1 % by chance, so it must also be outside of the whole reference"
    " by a margin, which is wider where the reference has few pictures",
)
_RECALL: Final = Threshold(0.8, "of five such answers one is wrong where the share is lower")
_CONFIDENCE: Final = Threshold(
    0.3,
    "two other classes may then be more likely; of a model that is right on 84 % a clean picture in"
    " a hundred is below it",
)
_LEAST_MARGIN, _MARGIN_OF_ONE_PICTURE = 0.1, 100.0
"""In standard deviations of the signal: the extremes of few pictures are soon left. With this
margin 0.1 to 0.6 of 100 clean pictures leave one of their signals' ranges, whether the reference
has 60 pictures or 400; without the second part it was 17 of 100 with 60 pictures."""
_LOOK: Final = "Look at the picture beside those that the model was trained on."
_ADVICE: Final[Mapping[str, str]] = {
    "blockiness": "Send it less compressed: at a higher JPEG quality, or as PNG.",
    "saturation": "Find out whether something before the server makes pictures grey or gaudy.",
    "warmth": "Look at the light and at the white balance of the camera.",
    "tint": "Look at the light and at the white balance of the camera.",
}


@dataclass(frozen=True, slots=True)
class PlaceCheck:
    """Signals, calibration, and the record of the predicted class."""

    question: str = "Where does it lie in the reference?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """One finding for each signal, then calibration and the class."""
        unsure = _unsure(case)
        profile = case.subject.profile
        if profile is None:
            text = "The bundle has no profile.json: `batchproof-server profile` makes one."
            return (CheckResult("place", "the reference", None, None, Level.FINE, text), unsure)
        return (*_signals(case, profile), unsure, *_calibration(case, profile),
                _record(case, profile))  # fmt: skip


def percentile(reference: SignalReference, value: float) -> float:
    """The share of the reference below a value, straight inside the bins: 0 to 1."""
    edges = (reference.min, *reference.edges, reference.max)
    total, below = sum(reference.counts), 0.0
    for low, high, count in zip(edges, edges[1:], reference.counts, strict=False):
        if value >= high:
            below += count
        elif value > low:
            below += count * (value - low) / (high - low)
    if reference.min < reference.max:
        return below / total
    return 0.5 if value == reference.min else float(value > reference.min)


def _signals(case: Case, profile: ReferenceProfile) -> Iterator[CheckResult]:
    for name, reference in profile.signals.items():
        value = case.signals.get(name)
        if value is None or value != value:  # noqa: PLR0124 - NaN
            continue
        place = percentile(reference, value)
        beyond = 2 * min(place, 1 - place)
        rare = beyond < _RARE.value and name in INPUT_SIGNALS and is_beyond(reference, value)
        yield CheckResult(
            f"signal:{name}", f"an unusual {name.replace('_', ' ')}", beyond, _RARE,
            Level.SUSPICIOUS if rare else Level.FINE,
            f"{name} is {value:.4g}, above {place:.1%} of {profile.pictures} reference pictures.",
            _ADVICE.get(name, _LOOK) if rare else "",
            weight=0.3,
        )  # fmt: skip


def is_beyond(reference: SignalReference, value: float) -> bool:
    """Whether a value is outside of all that the reference has, by a margin."""
    pictures = sum(reference.counts)
    margin = reference.scale * (_LEAST_MARGIN + _MARGIN_OF_ONE_PICTURE / pictures)
    return not reference.min - margin <= value <= reference.max + margin


def _unsure(case: Case) -> CheckResult:
    unsure = case.confidence < _CONFIDENCE.value
    second = int(case.answers.probabilities[0].argsort()[-2:][0])
    return CheckResult(
        "unsure", "the model is unsure", case.confidence, _CONFIDENCE,
        Level.SUSPICIOUS if unsure else Level.FINE,
        f"{case.label} {case.confidence:.1%}, then {case.subject.labels[second]} "
        f"{case.answers.probabilities[0, second]:.1%}.",
        "Do not act on an answer of this confidence by itself." if unsure else "", weight=0.4,
    )  # fmt: skip


def _calibration(case: Case, profile: ReferenceProfile) -> Iterator[CheckResult]:
    place = min(CALIBRATION_BINS - 1, max(0, -int(-case.confidence * CALIBRATION_BINS // 1) - 1))
    calibration = profile.calibration
    pictures, right = calibration.pictures[place], calibration.right[place]
    if not pictures:
        return
    yield CheckResult(
        "calibration", "calibration", right / pictures, None, Level.FINE,
        f"Of {pictures} reference pictures with a confidence from {place / 10:.0%} to "
        f"{(place + 1) / 10:.0%}, {right / pictures:.1%} were answered right.",
    )  # fmt: skip


def _record(case: Case, profile: ReferenceProfile) -> CheckResult:
    known = profile.classes[int(case.answers.decided[0])]
    precision = known.right / known.answered if known.answered else 0.0
    weak = precision < _RECALL.value
    return CheckResult(
        "class:weak", f"the model often answers {known.label} wrongly", precision, _RECALL,
        Level.FINE,
        f"{known.right} of {known.answered} answers {known.label} were right ({precision:.1%}), "
        f"and {_recall(known)} of the pictures of that class were found.",
        "More training pictures of that class and of those it is taken for." if weak else "",
    )  # fmt: skip


def _recall(known: ClassReference) -> str:
    return f"{known.right / known.pictures:.1%}" if known.pictures else "none"
