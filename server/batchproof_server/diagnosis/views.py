"""What is done to a picture to see how its answer changes: families of changes, and mild views."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from batchproof_server.tta.views import View, parse_view

_ANGLES: Final = (7.5, 15.0, 22.5, 30.0, 37.5, 45.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One strength of a family.

    Attributes:
        strength: as people read it.
        away: steps from the neutral strength, from 1.
        views: all are tried; the class is kept when all keep it.
    """

    strength: float
    away: int
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class ChangeFamily:
    """One change of a picture.

    Attributes:
        name: in the report.
        unit: of the strengths.
        steps: by ascending strength.
    """

    name: str
    unit: str
    steps: tuple[Step, ...]


def _one_sided(name: str, unit: str, form: str, strengths: Iterable[float]) -> ChangeFamily:
    steps = tuple(
        Step(strength, away, (parse_view(form.format(strength)),))
        for away, strength in enumerate(strengths, start=1)
    )
    return ChangeFamily(name, unit, tuple(sorted(steps, key=lambda step: step.strength)))


def _two_sided(
    name: str, unit: str, form: str, below: tuple[float, ...], above: tuple[float, ...]
) -> ChangeFamily:
    """Both from the nearest to the neutral strength outwards."""
    steps = [*_one_sided("", "", form, below).steps, *_one_sided("", "", form, above).steps]
    return ChangeFamily(name, unit, tuple(sorted(steps, key=lambda step: step.strength)))


def _shifts(shares: tuple[float, ...]) -> ChangeFamily:
    return ChangeFamily(
        "shift",
        "of the side, any way",
        tuple(
            Step(
                share,
                away,
                tuple(
                    parse_view(f"shift({right * share},{down * share})")
                    for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1))
                ),
            )
            for away, share in enumerate(shares, start=1)
        ),
    )


ROTATION: Final = "rotation"
FAMILIES: Final[tuple[ChangeFamily, ...]] = (
    _one_sided("noise", "of white", "noise({})", (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)),
    _two_sided(ROTATION, "degrees", "rotate({})", tuple(-each for each in _ANGLES), _ANGLES),
    _shifts((0.04, 0.08, 0.12, 0.16, 0.2)),
    _two_sided("scale", "times", "scale({})", (0.9, 0.8, 0.7, 0.6), (1.1, 1.25, 1.5, 1.8)),
    _two_sided("brightness", "times", "brightness({})", (0.85, 0.7, 0.5, 0.3, 0.15),
               (1.2, 1.5, 2.0, 3.0, 4.0)),
    _two_sided("contrast", "times", "contrast({})", (0.8, 0.6, 0.4, 0.2), (1.25, 1.6, 2.2, 3.0)),
    _one_sided("JPEG quality", "", "jpeg({})", (90, 70, 50, 30, 20, 10, 5)),
)  # fmt: skip
"""Every family but the blur, which is no view."""

BLUR_SHARES: Final = (0.01, 0.02, 0.035, 0.05, 0.08)
"""Standard deviations of the blur as shares of the shorter side."""

MILD: Final[tuple[View, ...]] = tuple(
    map(
        parse_view,
        (
            "rotate(-7.5)", "rotate(7.5)", "scale(0.9)", "scale(1.1)", "brightness(0.85)",
            "brightness(1.2)", "contrast(0.8)", "contrast(1.25)", "noise(0.02)",
            "shift(0.04,0.0)", "shift(-0.04,0.0)", "shift(0.0,0.04)", "shift(0.0,-0.04)",
        ),
    )
)  # fmt: skip
"""Changes after which a picture shows the same to everybody; each is of a family."""

ALL_VIEWS: Final[tuple[View, ...]] = tuple(
    dict.fromkeys(view for family in FAMILIES for step in family.steps for view in step.views)
)
"""Each once."""
