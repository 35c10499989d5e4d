"""Whether the picture itself is unlike those that the model knows: light, noise, turn, subject."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import Case, Company, Turns
from batchproof_server.diagnosis.findings import Finding, Level, Threshold

LEAST_COMPANY: Final = 12
"""With fewer reference pictures their extremes say nothing."""

_DARK: Final = Threshold(
    0.6,
    "the darkest of 1,000 usual pictures have 0.7 of the white of the darkest reference picture",
)
_NOISE: Final = Threshold(
    6.0, "the calm parts of reference pictures deviate by less; plus their own 95 % quantile"
)
_TURN: Final = Threshold(2.0, "twice what turning gains for 95 % of the reference pictures")


@dataclass(frozen=True, slots=True)
class PictureCheck:
    """What the picture looks like, against the reference pictures."""

    question: str = "Is the picture unlike those the model knows?"

    def look(self, case: Case) -> tuple[Finding, ...]:
        """Light, noise, turn and subject, in that order."""
        company = case.company
        if company is None:
            text = f"Fewer than {LEAST_COMPANY} reference pictures: put some into samples/."
            return (Finding("picture", "the picture", None, None, Level.FINE, text),)
        return (_dark(case, company), _noisy(case, company), _turned(case, company),
                _unknown(case, company))  # fmt: skip


def _dark(case: Case, company: Company) -> Finding:
    white, darkest = float(case.looks.white[0]), float(company.looks.white.min())
    number = white / max(darkest, 1.0)
    is_dark = number < _DARK.value
    return Finding(
        "picture:dark", "the picture is too dark", number, _DARK,
        Level.LIKELY if is_dark else Level.FINE,
        f"Its white is level {white:.0f}; that of the darkest reference picture is {darkest:.0f}.",
        "Light the scene, or bring the levels to the full range before the recipe."
        if is_dark else "", weight=_DARK.value / max(number, 1e-3),
    )  # fmt: skip


def _noisy(case: Case, company: Company) -> Finding:
    own = float(case.looks.noise[0])
    usual = float(np.quantile(company.looks.noise, 0.95))
    limit = Threshold(_NOISE.value + usual, _NOISE.reason)
    is_noisy = own > limit.value
    return Finding(
        "picture:noise", "the picture is noisy", own, limit,
        Level.LIKELY if is_noisy else Level.FINE,
        f"Its calm parts deviate by {own:.1f} levels; those of 95 % of the reference pictures by "
        f"{usual:.1f} or less.",
        "Expose longer, or average or denoise before the recipe." if is_noisy else "",
        weight=own / limit.value,
    )  # fmt: skip


def turn_numbers(turns: Turns, company: Company) -> tuple[Array, Array]:
    """For each picture the best turn's gain in units of usual gains, and its place."""
    like = np.maximum(np.quantile(company.turns.likeness.max(axis=1), 0.95), 0.05)
    typical = np.maximum(np.quantile(company.turns.typicality.max(axis=1), 0.95), 0.5)
    gains = turns.likeness / like + turns.typicality.clip(min=0) / typical
    best = gains.argmax(axis=1)
    return gains.max(axis=1), best


def _turned(case: Case, company: Company) -> Finding:
    numbers, places = turn_numbers(case.turns, company)
    number, degrees = float(numbers[0]), case.turns.degrees[int(places[0])]
    is_turned = number > _TURN.value
    return Finding(
        "picture:turned", "the picture is turned", number, _TURN,
        Level.LIKELY if is_turned else Level.FINE,
        f"Turned by {degrees:g} degrees it would be more like the reference pictures by "
        f"{case.turns.likeness[0, places[0]]:.2f} (correlation), and its answer more typical by "
        f"{case.turns.typicality[0, places[0]]:.1f} nats.",
        "Turn it upright before it is sent, or train with turned pictures." if is_turned else "",
        weight=number / _TURN.value,
    )  # fmt: skip


def _unknown(case: Case, company: Company) -> Finding:
    unlike = float(1 - case.place.likeness[0]), 1 - company.place.likeness
    far = float(case.place.distance[0]), company.place.distance
    odd = -float(case.place.typicality[0]), -company.place.typicality
    shares = [float((usual < own).mean()) for own, usual in (unlike, far, odd)]
    number = float(np.mean(shares))
    is_unknown = number >= _STRANGE.value
    return Finding(
        "picture:unknown", "nothing that the model knows", number, _STRANGE,
        Level.LIKELY if is_unknown else Level.FINE,
        f"{shares[0]:.0%} of the reference pictures have a likelier neighbour, {shares[1]:.0%} a "
        f"nearer one in the model's scores, and {shares[2]:.0%} a more typical answer.",
        "Reject what is unlike the training set before you believe the class, or train one for it."
        if is_unknown else "", weight=0.5 * number,
    )  # fmt: skip


_STRANGE: Final = Threshold(
    0.9, "the mean of three ranks; of usual pictures about one in fifty reaches it"
)
