"""The usual mistakes of a recipe: what callers do to a picture instead of what is declared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.diagnosis.scalings import ScalingMistake, usual_scalings
from batchproof_server.imaging.mistakes import TURNS, Change, changes, name_in
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.imaging.resize import ResizePlan
from batchproof_server.imaging.settings import RecipePlan, settings_of

_TRANSPOSED: Final = "height and width exchanged"


@dataclass(frozen=True, slots=True)
class FramingMistake:
    """Another way from the file to levels of the model's size.

    Attributes:
        cause: such as ``filter:nearest``; empty for the declared recipe.
        title: in words.
        levels: the recipe with the mistake, without any scaling.
        change: done to the levels afterwards.
    """

    cause: str
    title: str
    levels: Recipe
    change: Callable[[Array], Array] | None = None


@dataclass(frozen=True, slots=True)
class Mistakes:
    """All that can be tried on one model. Made by ``usual_mistakes``.

    Attributes:
        framings: the declared one first.
        scalings: the declared one first.
    """

    framings: tuple[FramingMistake, ...]
    scalings: tuple[ScalingMistake, ...]


def usual_mistakes(recipe: Recipe, spec: TensorSpec, plugs: Plugs) -> Mistakes:
    """What is usually done instead of this recipe, as far as it differs and can be done here.

    Args:
        recipe: the declared one.
        spec: of the model's input.
        plugs: what recipes may name here.
    """
    return Mistakes(tuple(_framings(recipe, spec, plugs)), tuple(usual_scalings(recipe.plan)))


def _framings(declared: Recipe, spec: TensorSpec, plugs: Plugs) -> Iterator[FramingMistake]:
    own = declared.plan

    def levels_of(plan: RecipePlan) -> Recipe | None:
        """None where this does not go with the model."""
        settings = settings_of(replace(plan, normalize=None))
        try:
            return compile_recipe(settings, spec, plugs, declared.limits)
        except InvalidSettings:
            return None

    levels = levels_of(own)
    if levels is None:
        return
    yield FramingMistake("", "as declared", levels)
    for change in changes(own, plugs):
        # Scalings are told by what they make of black and white, and not from levels.
        other = levels_of(change.plan) if change.plan.normalize == own.normalize else None
        if other is not None:
            title = f"{change.name} instead of {name_in(change.part, own)}"
            yield FramingMistake(_cause(change, own), title, other)
    for cause, title, done in _changes(declared):
        yield FramingMistake(cause, title, levels, done)


def _cause(change: Change, own: RecipePlan) -> str:
    """For programs, which know it by its first word."""
    match change.part:
        case "colour order":
            return f"color:{change.plan.color}"
        case "orientation":
            return f"orientation:{change.plan.orientation}"
        case "decoder":
            return f"decoder:{change.plan.decoder}"
        case "policy":
            return f"policy:{_policy_key(change.plan.resize)}"
        case "filter" | "scaling":
            library = "" if own.resize is None else f"{own.resize.library} "
            return f"{change.part}:{change.name.removeprefix(library).replace(' ', '-')}"


def _policy_key(resize: ResizePlan | None) -> str:
    if resize is None:
        return "none"
    if resize.policy == "short_side_center_crop":
        is_whole = resize.short_side == max(resize.width or 0, resize.height or 0)
        return "crop" if is_whole else "crop256"
    levels = [f"{level}" for level in resize.pad_color or () if level]
    return "".join([resize.policy, *levels])


def _changes(declared: Recipe) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    if declared.plan.layout == "channels_first":
        return
    height, width = declared.row_shape[:2]
    if height == width:
        yield "axes:transposed", _TRANSPOSED, _transposed
    if declared.plan.color != "grayscale":
        yield "color:grey", "colours thrown away", _grey


def _transposed(row: Array) -> Array:
    return np.ascontiguousarray(TURNS[_TRANSPOSED](row))


def _grey(row: Array) -> Array:
    mean = row.mean(axis=-1, keepdims=True, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(mean, row.shape)).astype(row.dtype)
