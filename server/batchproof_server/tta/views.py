"""Views: what may be done to a picture before the recipe brings it to the model's input.

A view is written ``name`` or ``name(number,...)``. Its geometry is that of the decoded, upright
picture, before the recipe resizes anything: a share is a share of the picture's own width or
height, and a level is one of the picture's own levels. ``pixels.py`` says what each does, exactly.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from batchproof_server.base.errors import cut

_MAX_TEXT_CHARACTERS: Final = 64
_FORM: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\(([^()]+)\))?")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# A turn by more than this is taken to change what some pictures mean, as a quarter turn does.
_SAFE_TURN_DEGREES: Final = 45.0


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a view or an aggregation.

    Attributes:
        lowest: the smallest that is allowed.
        highest: the largest.
        default: taken where no number is written; None where one must be.
        whole: whether it must be a whole number.
    """

    name: str
    lowest: float
    highest: float
    default: float | None = None
    whole: bool = False

    def check(self, value: float) -> float:
        """Returns the number.

        Raises:
            ValueError: it is out of range or has a fraction.
        """
        if not self.lowest <= value <= self.highest or (self.whole and value != int(value)):
            kind = "a whole number" if self.whole else "a number"
            low, high = number_text(self.lowest), number_text(self.highest)
            raise ValueError(
                f"{self.name} is {number_text(value)}, expected {kind} from {low} to {high}"
            )
        return value + 0.0  # -0.0 becomes 0.0


_SHARE = Parameter("f", 0.1, 1.0)
_CROP = Parameter("f", 0.1, 1.0, default=0.875)

VIEW_PARAMETERS: Final[dict[str, tuple[Parameter, ...]]] = {
    "identity": (),
    "hflip": (),
    "vflip": (),
    "rot90": (),
    "rot180": (),
    "rot270": (),
    "transpose": (),
    "transverse": (),
    "rotate": (Parameter("deg", -180.0, 180.0),),
    "crop": (_SHARE,),
    "five_crop": (_CROP,),
    "crop_top_left": (_SHARE,),
    "crop_top_right": (_SHARE,),
    "crop_bottom_left": (_SHARE,),
    "crop_bottom_right": (_SHARE,),
    "scale": (Parameter("f", 0.5, 2.0),),
    "shift": (Parameter("dx", -0.5, 0.5), Parameter("dy", -0.5, 0.5)),
    "brightness": (Parameter("f", 0.1, 4.0),),
    "contrast": (Parameter("f", 0.1, 4.0),),
    "noise": (Parameter("sd", 0.0, 0.5),),
    "jpeg": (Parameter("q", 1, 100, whole=True),),
}
"""Every view by name, with its numbers in their order."""

_FIVE = ("crop_top_left", "crop_top_right", "crop_bottom_left", "crop_bottom_right", "crop")
_UNSAFE: Final = ("hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse")


@dataclass(frozen=True, slots=True, order=True)
class View:
    """One view; made by ``parse_view``.

    Attributes:
        name: one of ``VIEW_PARAMETERS``.
        numbers: one for each parameter.
    """

    name: str
    numbers: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The one way to write it; ``parse_view`` reads it back."""
        return call_text(self.name, self.numbers)

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers."""
        return self.name == "noise"

    @property
    def may_change_label(self) -> bool:
        """Whether it turns some pictures into pictures of something else.

        So do flips and quarter turns of text, digits and whatever has a left and a right, and turns
        of more than 45 degrees.
        """
        turned = self.name == "rotate" and abs(self.numbers[0]) > _SAFE_TURN_DEGREES
        return turned or self.name in _UNSAFE


IDENTITY: Final = View("identity")


def parse_view(text: str) -> View:
    """Reads ``name`` or ``name(number,...)``; spaces are allowed around a number only.

    Raises:
        ValueError: the form is another, the view is unknown, or a number is missing, too many, out
            of range or none at all; the text names what came and what is known.
    """
    name, numbers = parse_call("view", text, VIEW_PARAMETERS)
    return View(name, numbers)


def parse_views(texts: Iterable[str]) -> tuple[View, ...]:
    """Reads views and puts the five views of ``five_crop`` in its place.

    Raises:
        ValueError: as ``parse_view``.
    """
    return tuple(view for text in texts for view in _expanded(parse_view(text)))


def _expanded(view: View) -> tuple[View, ...]:
    if view.name != "five_crop":
        return (view,)
    return tuple(View(name, view.numbers) for name in _FIVE)


def parse_call(
    kind: str, text: str, known: dict[str, tuple[Parameter, ...]]
) -> tuple[str, tuple[float, ...]]:
    """Reads ``name(number,...)`` against what is known by name.

    Args:
        kind: what it is, for messages.
        text: as it came.
        known: the names and the numbers of each.

    Raises:
        ValueError: see ``parse_view``.
    """
    shown = cut(text, _MAX_TEXT_CHARACTERS)
    form = _FORM.fullmatch(text) if len(text) <= _MAX_TEXT_CHARACTERS else None
    if form is None:
        raise ValueError(f'{kind} "{shown}" is not written name or name(number,...)')
    name, inside = form.groups()
    if name not in known:
        raise ValueError(f'unknown {kind} "{name}", one of {", ".join(known)}')
    came = () if inside is None else tuple(part.strip(" ") for part in inside.split(","))
    try:
        return name, _numbers(came, known[name])
    except ValueError as fault:
        raise ValueError(f'{kind} "{shown}": {fault}') from fault


def _numbers(came: tuple[str, ...], parameters: tuple[Parameter, ...]) -> tuple[float, ...]:
    defaults = tuple(each.default for each in parameters if each.default is not None)
    if not came and len(defaults) == len(parameters):
        return defaults
    if len(came) != len(parameters):
        names = ", ".join(parameter.name for parameter in parameters) or "none"
        raise ValueError(f"{len(came)} number(s), expected {len(parameters)}: {names}")
    return tuple(
        parameter.check(_number(part)) for part, parameter in zip(came, parameters, strict=True)
    )


def _number(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f'"{text}" is not a number')
    return value


def call_text(name: str, numbers: tuple[float, ...]) -> str:
    """The canonical text of a name and its numbers."""
    return f"{name}({','.join(map(number_text, numbers))})" if numbers else name


def number_text(value: float) -> str:
    """The shortest decimal that reads back as the same number, without a superfluous ".0"."""
    return str(int(value)) if value == int(value) else repr(value)
