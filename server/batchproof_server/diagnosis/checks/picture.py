"""Whether the picture itself is unlike those that the model knows: light, noise, turn, subject."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold
from batchproof_server.diagnosis.reference import PlaceInReference, ReferenceMeasures, TurnGains

LEAST_REFERENCE_PICTURES: Final = 12
"""With fewer reference pictures their extremes say nothing."""

_DARK: Final = Threshold(
    0.6, "usual pictures have 0.7 of the white of the darkest reference picture and more"
)
_NOISE: Final = Threshold(
    3.5, "the calm parts of reference pictures deviate by less; plus their own 95 % quantile"
)
_TURN: Final = Threshold(
    1.6, "turning gains less for 97 of 100 usual pictures, or leaves them strange"
)
_STRANGE_TO_TURN: Final = 0.7
_LIKE_ENOUGH: Final = 0.88
_STRANGE: Final = Threshold(
    1.0, "as far out, in the mean of three measures, as the outermost tenth of the reference"
)
_OUTER: Final = 0.9
_MOST_TYPICAL_GAINS: Final = 2.0


@dataclass(frozen=True, slots=True)
class PictureCheck:
    """What the picture looks like, against the reference pictures."""

    question: str = "Is the picture unlike those the model knows?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """Light, noise, turn and subject, in that order."""
        reference = case.reference
        if reference is None:
            text = (
                f"Fewer than {LEAST_REFERENCE_PICTURES} reference pictures: put some into samples/."
            )
            return (CheckResult("picture", "the picture", None, None, Level.FINE, text),)
        return (
            _dark(case, reference),
            _noisy(case, reference),
            _turned(case, reference),
            _unknown(case, reference),
        )


def _dark(case: Case, reference: ReferenceMeasures) -> CheckResult:
    white, darkest = float(case.looks.white[0]), float(reference.looks.white.min())
    number = white / max(darkest, 1.0)
    is_dark = number < _DARK.value
    return CheckResult(
        "picture:dark", "the picture is too dark", number, _DARK,
        Level.LIKELY if is_dark else Level.FINE,
        f"Its white is level {white:.0f}; that of the darkest reference picture is {darkest:.0f}.",
        "Light the scene, or bring the levels to the full range before the recipe."
        if is_dark else "", weight=4.0,
    )  # fmt: skip


def _noisy(case: Case, reference: ReferenceMeasures) -> CheckResult:
    own = float(case.looks.noise[0])
    usual = float(np.quantile(reference.looks.noise, 0.95))
    limit = Threshold(_NOISE.value + usual, _NOISE.reason)
    is_noisy = own > limit.value
    return CheckResult(
        "picture:noise", "the picture is noisy", own, limit,
        Level.LIKELY if is_noisy else Level.FINE,
        f"Its calm parts deviate by {own:.1f} levels; those of 95 % of the reference pictures by "
        f"{usual:.1f} or less.",
        "Expose longer, or average or denoise before the recipe." if is_noisy else "",
        weight=3.0,
    )  # fmt: skip


def strangeness(place: PlaceInReference, reference: ReferenceMeasures) -> float:
    """How far out a picture lies: 1 is where the outermost tenth of the reference begins.

    The mean of three: how unlike it is to all reference pictures, how far its scores are from
    theirs, and how much less typical its answer is than their median.
    """
    known = reference.place
    unlike = float(1 - place.likeness[0]) / _outer(1 - known.likeness)
    far = float(place.distance[0]) / _outer(known.distance)
    median = float(np.median(known.typicality))
    odd = (median - float(place.typicality[0])) / _outer(median - known.typicality)
    return (unlike + far + odd) / 3


def _outer(values: Array) -> float:
    return max(float(np.quantile(values, _OUTER)), 1e-9)


def best_turn(turns: TurnGains, reference: ReferenceMeasures) -> tuple[float, int]:
    """What the best turn gains, in units of what is usual for reference pictures; its place."""
    likeness, typicality = (
        max(float(np.quantile(gains.max(axis=1), 0.95)), floor)
        for gains, floor in ((reference.turns.likeness, 0.05), (reference.turns.typicality, 0.5))
    )
    typical = np.minimum(turns.typicality[0].clip(min=0) / typicality, _MOST_TYPICAL_GAINS)
    gains = turns.likeness[0] / likeness + typical
    place = int(gains.argmax())
    return float(gains[place]), place


def _turned(case: Case, reference: ReferenceMeasures) -> CheckResult:
    number, place = best_turn(case.turns, reference)
    gain = float(case.turns.likeness[0, place])
    like_enough = _LIKE_ENOUGH * float(np.quantile(reference.place.likeness, 0.05))
    is_turned = (
        number > _TURN.value
        and strangeness(case.place, reference) > _STRANGE_TO_TURN
        and float(case.place.likeness[0]) + gain > like_enough
    )
    return CheckResult(
        "picture:turned", "the picture is turned", number, _TURN,
        Level.LIKELY if is_turned else Level.FINE,
        f"Turned by {case.turns.degrees[place]:g} degrees its likeness to the nearest reference "
        f"picture would change from {case.place.likeness[0]:.2f} by {gain:+.2f}, and its answer "
        f"would be {case.turns.typicality[0, place]:+.1f} nats more typical.",
        "Turn it upright before it is sent, or train with turned pictures." if is_turned else "",
        weight=2.0,
    )  # fmt: skip


def _unknown(case: Case, reference: ReferenceMeasures) -> CheckResult:
    number = strangeness(case.place, reference)
    is_unknown = number > _STRANGE.value
    return CheckResult(
        "picture:unknown", "nothing that the model knows", number, _STRANGE,
        Level.LIKELY if is_unknown else Level.FINE,
        f"Likeness to the nearest reference picture {case.place.likeness[0]:.2f}, scores "
        f"{case.place.distance[0]:.1f} nats from the nearest: {number:.2f} times as far out as "
        "nine tenths of the reference.",
        "Reject what is unlike the training set before you believe the class, or train one for it."
        if is_unknown else "", weight=1.0,
    )  # fmt: skip
