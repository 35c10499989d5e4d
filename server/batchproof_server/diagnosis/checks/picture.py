"""Whether the picture itself is unlike those that the model knows: light, noise, turn, subject."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.figures import (
    best_turns,
    strangeness,
    turn_evidence,
    turnedness,
)
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold
from batchproof_server.diagnosis.reference import ReferenceMeasures

LEAST_REFERENCE_PICTURES: Final = 12
"""With fewer reference pictures their extremes say nothing."""

_DARK: Final = Threshold(
    0.65, "usual pictures have 0.7 of the white of the darkest reference picture and more"
)
_NOISE: Final = Threshold(
    2.8, "the calm parts of reference pictures deviate by less; plus their own 95 % quantile"
)
_TURN: Final = Threshold(
    4.5,
    "standard deviations of the reference pictures over their mean, of what turning gains, twice"
    " how far out a picture lies, and how much likelier its edges' axes are once turned back;"
    " two of 100 clean pictures are beyond it",
)
_LIKE_ENOUGH: Final = 0.88
_STRANGE: Final = Threshold(
    0.75,
    "times as far out, in the mean of three measures, as the outermost tenth of the reference; plus"
    " 12 divided by the number of reference pictures, for few tell that badly; one clean picture in"
    " a hundred is beyond it",
)
_STRANGE_OF_FEW: Final = 12.0
_CALM: Final = Threshold(
    0.25, "usual pictures have 0.6 of the grain of the calmest reference picture and more"
)
_LEAST_GRAIN_LEVELS: Final = 1.0
"""Of reference pictures with less some are drawn, and calm says nothing."""
# With one cause found, another that may be the true one stands beside it from here on.
_MAYBE_TURNED: Final = 1.0
_MAYBE_STRANGE: Final = 0.8


@dataclass(frozen=True, slots=True)
class PictureCheck:
    """What the picture looks like, against the reference pictures."""

    question: str = "Is the picture unlike those the model knows?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """Light, noise, grain, turn and subject, in that order."""
        reference = case.reference
        if reference is None:
            text = (
                f"Fewer than {LEAST_REFERENCE_PICTURES} reference pictures: put some into samples/."
            )
            return (CheckResult("picture", "the picture", None, None, Level.FINE, text),)
        certain = (_dark(case, reference), _noisy(case, reference), _calm(case, reference))
        turned, unknown = _turned(case, reference), _unknown(case, reference)
        if any(each.level > Level.FINE for each in (*certain, turned, unknown)):
            turned = _beside(turned, _MAYBE_TURNED)
            unknown = _beside(unknown, _MAYBE_STRANGE)
        return (*certain, turned, unknown)


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


def _beside(finding: CheckResult, least: float) -> CheckResult:
    """Beside another cause, also what would not be accused by itself."""
    if finding.level is not Level.FINE or (finding.number or 0.0) <= least:
        return finding
    return replace(finding, level=Level.SUSPICIOUS)


def _turned(case: Case, reference: ReferenceMeasures) -> CheckResult:
    (gained,), (place,) = best_turns(case.turns, reference)
    number = float(turnedness(case.turns, case.place, case.looks.axes, reference)[0])
    gain = float(case.turns.likeness[0, place])
    like_enough = _LIKE_ENOUGH * float(np.quantile(reference.place.likeness, 0.05))
    is_like = float(case.place.likeness[0]) + gain > like_enough
    # Letters gain much by turning and stay unlike everything: no turn explains these.
    number = number if is_like and gained > 0 else min(number, 0.0)
    is_turned = number > _TURN.value
    (nats,) = turn_evidence(case.looks.axes, reference.looks.axes, case.turns.degrees)
    return CheckResult(
        "picture:turned", "the picture is turned", number, _TURN,
        Level.LIKELY if is_turned else Level.FINE,
        f"Turned by {case.turns.degrees[place]:g} degrees its likeness to the nearest reference "
        f"picture would change from {case.place.likeness[0]:.2f} by {gain:+.2f}, and its answer "
        f"would be {case.turns.typicality[0, place]:+.1f} nats more typical. Turned back the axes "
        f"of its edges would be {nats:+.1f} nats likelier among those of the reference.",
        "Turn it upright before it is sent, or train with turned pictures." if is_turned else "",
        weight=2.0,
    )  # fmt: skip


def _calm(case: Case, reference: ReferenceMeasures) -> CheckResult:
    """Noise by white, so that light makes no difference."""
    grain = float(np.min(reference.looks.noise / np.maximum(reference.looks.white, 1.0)))
    if float(reference.looks.noise.min()) < _LEAST_GRAIN_LEVELS:
        return CheckResult(
            "picture:calm", "grain", None, None, Level.FINE,
            "Some reference pictures have no grain, so a picture without any is nothing unusual.",
        )  # fmt: skip
    number = float(case.looks.noise[0] / max(case.looks.white[0], 1.0)) / grain
    is_calm = number < _CALM.value
    return CheckResult(
        "picture:unknown", "nothing that the model knows", number, _CALM,
        Level.LIKELY if is_calm else Level.FINE,
        f"Its grain is {number:.2f} of that of the calmest reference picture"
        f"{', as if it were drawn and no photograph' if is_calm else ''}.",
        _REJECT if is_calm else "", weight=2.5,
    )  # fmt: skip


def _unknown(case: Case, reference: ReferenceMeasures) -> CheckResult:
    number = float(strangeness(case.place, reference)[0])
    limit = Threshold(_STRANGE.value + _STRANGE_OF_FEW / reference.count, _STRANGE.reason)
    is_unknown = number > limit.value
    return CheckResult(
        "picture:unknown", "nothing that the model knows", number, limit,
        Level.LIKELY if is_unknown else Level.FINE,
        f"Likeness to the nearest reference picture {case.place.likeness[0]:.2f}, scores "
        f"{case.place.distance[0]:.1f} nats from the nearest: {max(0.0, number):.2f} times as far "
        "out as nine tenths of the reference.",
        _REJECT if is_unknown else "", weight=1.0,
    )  # fmt: skip


_REJECT: Final = (
    "Reject what is unlike the training set before you believe the class, or train one for it."
)
