"""What usually differs between training and serving: recipes that are one change away from another.

Pure values. Whoever asks whether a recipe is right (``recipe find``, ``recipe show``, a diagnosis)
takes the changes from here, so that all ask about the same ones and call them the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.presets import Color, DecoderName
from batchproof_server.imaging.resize import (
    KERAS_POLICIES,
    ResizeLibrary,
    ResizeMethod,
    ResizePlan,
    ResizePolicy,
    Rounding,
)
from batchproof_server.imaging.scalings import does_the_same, known_as, known_scalings, scalings
from batchproof_server.imaging.settings import RecipePlan, readable_formats

Part: TypeAlias = Literal["scaling", "colour order", "orientation", "policy", "filter", "decoder"]
"""Of a recipe; what two recipes may differ in."""

PARTS: Final[tuple[Part, ...]] = (
    "scaling",
    "colour order",
    "orientation",
    "policy",
    "filter",
    "decoder",
)
"""In the order of what a mistake in them usually costs, the dearest first."""


@dataclass(frozen=True, slots=True)
class Change:
    """A recipe that differs from another in one part.

    Attributes:
        part: in which.
        name: what it has there, in a few words: ``x / 255``, ``bgr``, ``pillow nearest``.
        plan: the recipe with it.
    """

    part: Part
    name: str
    plan: RecipePlan


def changes(plan: RecipePlan, plugs: Plugs) -> tuple[Change, ...]:
    """Every usual recipe that is one change away from this one, part by part.

    Args:
        plan: which is right, or thought to be; its size is known where it resizes.
        plugs: what is installed; a decoder or a library that is not makes no change.
    """
    return tuple(change for part in PARTS for change in changes_of(part, plan, plugs))


def changes_of(part: Part, plan: RecipePlan, plugs: Plugs) -> tuple[Change, ...]:
    """The same in one part alone; none that is the recipe itself."""
    made = {other: name for name, other in _MAKERS[part](plan, plugs) if other != plan}
    return tuple(Change(part, name, other) for other, name in made.items())


def name_in(part: Part, plan: RecipePlan) -> str:
    """What a recipe has in a part, as ``Change.name`` says it."""
    match part:
        case "scaling":
            return _scaling_name(plan)
        case "colour order":
            return _order_name(plan)
        case "orientation":
            return f"EXIF orientation {_ORIENTATIONS[plan.orientation]}"
        case "policy":
            return "no resizing" if plan.resize is None else _policy_name(plan.resize)
        case "filter":
            return "no filter" if plan.resize is None else _filter_name(plan.resize)
        case "decoder":
            return f"decoder {plan.decoder}"


def differing_parts(one: RecipePlan, other: RecipePlan) -> tuple[Part, ...]:
    """The parts in which two recipes differ, in the order of ``PARTS``.

    A scaling whose channels are exchanged together with the colours is the same scaling.
    """
    return tuple(part for part in PARTS if name_in(part, one) != name_in(part, other))


_ORIENTATIONS: Final = {"apply": "applied", "ignore": "ignored"}


def _scaling_name(plan: RecipePlan) -> str:
    if plan.normalize is None:
        return "0..255"
    if known := known_as(plan) or known_as(_other_order(plan)):
        return known.name
    steps = asdict(plan.normalize)
    return ", ".join(f"{key} {value}" for key, value in steps.items() if value is not None)


def _order_name(plan: RecipePlan) -> str:
    other = _other_order(plan)
    if known_as(plan) is None and known_as(other) is not None:
        return f"{plan.color}, scaled as {other.color}"
    return plan.color


def _other_order(plan: RecipePlan) -> RecipePlan:
    """The same scaling of colours that come the other way round."""
    orders: dict[Color, Color] = {"rgb": "bgr", "bgr": "rgb", "grayscale": "grayscale"}
    return replace(plan, color=orders[plan.color])


_Made: TypeAlias = Iterator[tuple[str, RecipePlan]]


def _scaled(plan: RecipePlan, _plugs: Plugs) -> _Made:
    own = known_as(plan)
    for name, scaling in scalings(plan).items():
        if own is None or name != own.name:
            yield name, replace(plan, normalize=scaling)


def _ordered(plan: RecipePlan, _plugs: Plugs) -> _Made:
    """The steps of ``normalize`` go with their colours, or stay at their places."""
    other = _other_order(plan)
    for here, there in zip(known_scalings(plan), known_scalings(other), strict=True):
        if does_the_same(here, plan) and not does_the_same(there, other):
            moved = replace(other, normalize=there.normalize)
            yield _order_name(moved), moved
    yield _order_name(other), other


def _oriented(plan: RecipePlan, _plugs: Plugs) -> _Made:
    for orientation in ("apply", "ignore"):
        other = replace(plan, orientation=orientation)
        yield name_in("orientation", other), other


def _decoded(plan: RecipePlan, plugs: Plugs) -> _Made:
    decoders: tuple[DecoderName, ...] = ("accurate", "tensorflow-fast")
    for decoder in decoders:
        other = with_decoder(plan, decoder)
        if decoder in plugs.decoders and other.formats:
            yield name_in("decoder", other), other


def with_decoder(plan: RecipePlan, decoder: DecoderName) -> RecipePlan:
    """The same recipe with a decoder, for all formats where it was for all, else for the same."""
    readable = readable_formats(decoder, plan.color)
    if plan.formats != readable_formats(plan.decoder, plan.color):
        readable = tuple(name for name in plan.formats if name in readable)
    return replace(plan, decoder=decoder, formats=readable)


# Of the short side of the picture, how much is kept: all of it, and what 224 of 256 are.
_CUTS: Final = (1.0, 256 / 224)
_PAD_LEVELS: Final = (0, 114, 255)


def _framed(plan: RecipePlan, _plugs: Plugs) -> _Made:
    if plan.resize is None or plan.resize.width is None or plan.resize.height is None:
        return
    side = max(plan.resize.width, plan.resize.height)
    plain = replace(plan.resize, policy="stretch", short_side=None, pad_color=None)
    sides = [round(side * cut) for cut in _CUTS]
    made = [plain]
    made += [replace(plain, policy="short_side_center_crop", short_side=short) for short in sides]
    made += [replace(plain, policy="pad", pad_color=(level,)) for level in _PAD_LEVELS]
    own = plan.resize.library
    made += [replace(plain, policy=name) for name, of in KERAS_POLICIES.items() if of == own]
    for resize in made:
        yield _policy_name(resize), replace(plan, resize=resize)


def _policy_name(resize: ResizePlan) -> str:
    if resize.policy == "short_side_center_crop":
        return f"short side {resize.short_side}, centre crop"
    if resize.policy == "pad":
        return f"pad with {', '.join(map(str, resize.pad_color or (0,)))}"
    return resize.policy


_FILTERS: Final[tuple[tuple[ResizeLibrary, ResizeMethod, bool], ...]] = (
    ("pillow", "nearest", False),
    ("pillow", "bilinear", True),
    ("pillow", "bicubic", True),
    ("pillow", "hamming", True),
    ("pillow", "lanczos", True),
    ("pillow", "box", True),
    ("tensorflow", "nearest", False),
    ("tensorflow", "bilinear", False),
    ("tensorflow", "bilinear", True),
    ("tensorflow", "bicubic", False),
    ("tensorflow", "bicubic", True),
    ("tensorflow", "area", True),
    ("tensorflow", "lanczos3", True),
)


def _filtered(plan: RecipePlan, plugs: Plugs) -> _Made:
    if plan.resize is None:
        return
    for library, method, antialias in _FILTERS:
        if library not in plugs.resizers:
            continue
        resize = replace(
            plan.resize,
            library=library,
            method=method,
            antialias=antialias,
            rounding=_rounding(plan, library),
            policy=_policy_with(library, plan.resize.policy),
        )
        resize = replace(resize, pad_color=_pad_color(resize))
        yield _filter_name(resize), replace(plan, resize=resize)


def _filter_name(resize: ResizePlan) -> str:
    optional = resize.library == "tensorflow" and resize.antialias and resize.method != "area"
    rounded = resize.library == "tensorflow" and resize.rounding == "uint8"
    return (
        f"{resize.library} {resize.method}"
        f"{' with antialias' if optional else ''}{' rounded' if rounded else ''}"
    )


def _rounding(plan: RecipePlan, library: ResizeLibrary) -> Rounding:
    """Where the other library rounded because it always does, TensorFlow's default is meant."""
    if library == "pillow" or plan.dtype == "uint8":
        return "uint8"
    is_chosen = plan.resize is not None and plan.resize.library == "tensorflow"
    return plan.resize.rounding if is_chosen and plan.resize is not None else "none"


# What each library calls the policy that only the other one has.
_SAME_POLICY: Final[Mapping[ResizePolicy, ResizePolicy]] = MappingProxyType(
    {
        "keep_aspect_ratio": "crop_to_aspect_ratio",
        "crop_to_aspect_ratio": "keep_aspect_ratio",
        "pad_to_aspect_ratio": "pad",
        "resize_with_pad": "pad",
    }
)


def _policy_with(library: ResizeLibrary, policy: ResizePolicy) -> ResizePolicy:
    return policy if KERAS_POLICIES.get(policy, library) == library else _SAME_POLICY[policy]


def _pad_color(resize: ResizePlan) -> tuple[int, ...] | None:
    return (resize.pad_color or (0,)) if resize.policy == "pad" else None


_MAKERS: Final[Mapping[Part, Callable[[RecipePlan, Plugs], _Made]]] = MappingProxyType(
    {
        "scaling": _scaled,
        "colour order": _ordered,
        "orientation": _oriented,
        "policy": _framed,
        "filter": _filtered,
        "decoder": _decoded,
    }
)

TURNS: Final[Mapping[str, Callable[[Array], Array]]] = MappingProxyType(
    {
        "mirrored left to right": lambda row: row[:, ::-1],
        "upside down": lambda row: row[::-1],
        "turned by 180 degrees": lambda row: row[::-1, ::-1],
        "height and width exchanged": lambda row: row.swapaxes(0, 1),
        "turned by 90 degrees": np.rot90,
        "turned by 270 degrees": lambda row: np.rot90(row, 3),
    }
)
"""What no recipe does to a row [height, width, channels], and other programs do."""
