"""The usual mistakes of a recipe: what callers do to a picture instead of what is declared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.diagnosis.scalings import ScalingMistake, usual_scalings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.imaging.resize import ResizeMethod, ResizePlan, ResizeSettings
from batchproof_server.imaging.settings import RecipePlan, RecipeSettings

_DECLARED: Final = ("", "as declared")
# torchvision's evaluation transform cuts 224 of 256 pixels.
_SHORT_SIDE_RATIO: Final = 256 / 224
_METHODS: Final[tuple[ResizeMethod, ...]] = (
    "nearest", "bilinear", "bicubic", "box", "hamming", "lanczos", "area",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FramingMistake:
    """Another way from the file to levels of the model's size.

    Attributes:
        cause: such as ``filter:nearest``; empty for the declared recipe.
        title: in words.
        recipe: with the mistake and the declared scaling.
        levels: the same without any scaling.
        change: done to the levels afterwards.
    """

    cause: str
    title: str
    recipe: Recipe
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
    make = _Compiler(spec, plugs, recipe.limits)
    return Mistakes(tuple(_framings(recipe, make)), tuple(usual_scalings(recipe.plan)))


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Compiles other recipes against the same input."""

    spec: TensorSpec
    plugs: Plugs
    limits: ImageLimits

    def recipe(self, settings: RecipeSettings) -> Recipe | None:
        """None where these keys do not go together, or not with this model."""
        try:
            return compile_recipe(settings, self.spec, self.plugs, self.limits)
        except InvalidSettings:
            return None


def written(plan: RecipePlan) -> RecipeSettings:
    """The table that comes to this plan."""
    resize = plan.resize
    return RecipeSettings(
        formats=plan.formats,
        decoder=plan.decoder,
        color=plan.color,
        orientation=plan.orientation,
        resize=None if resize is None else _written_resize(resize),
        normalize=plan.normalize,
        dtype=plan.dtype,
        layout=plan.layout,
    )


def _written_resize(plan: ResizePlan) -> ResizeSettings:
    return ResizeSettings(**{each.name: getattr(plan, each.name) for each in fields(plan)})


def _framings(declared: Recipe, make: _Compiler) -> Iterator[FramingMistake]:
    base = written(declared.plan)
    for cause, title, changed in ((*_DECLARED, base), *_other_tables(declared.plan, base)):
        settings = _checked(changed)
        if settings is None:
            continue
        recipe, levels = make.recipe(settings), make.recipe(replace(settings, normalize=None))
        if recipe is not None and levels is not None:
            yield FramingMistake(cause, title, recipe, levels)
    levels = make.recipe(replace(base, normalize=None))
    if levels is None:
        return
    for cause, title, change in _changes(declared):
        yield FramingMistake(cause, title, declared, levels, change)


_Change = Callable[[], RecipeSettings]


def _checked(changed: RecipeSettings | _Change) -> RecipeSettings | None:
    try:
        return changed() if callable(changed) else changed
    except ValueError:
        return None


def _other_tables(
    plan: RecipePlan, base: RecipeSettings
) -> Iterator[tuple[str, str, RecipeSettings | _Change]]:
    if plan.color != "grayscale":
        other = "bgr" if plan.color == "rgb" else "rgb"
        title = f"{other.upper()} instead of {plan.color.upper()}"
        yield (
            f"color:{other}",
            title,
            lambda: replace(base, color="bgr" if other == "bgr" else "rgb"),
        )
    turned = "ignore" if plan.orientation == "apply" else "apply"
    title = "EXIF orientation ignored" if turned == "ignore" else "EXIF orientation applied"
    yield (
        f"orientation:{turned}",
        title,
        lambda: replace(base, orientation="ignore" if turned == "ignore" else "apply"),
    )
    other_decoder = "tensorflow-fast" if plan.decoder == "accurate" else "accurate"
    yield (
        f"decoder:{other_decoder}",
        f"decoder {other_decoder}",
        lambda: replace(
            base,
            formats=None,
            decoder="accurate" if other_decoder == "accurate" else "tensorflow-fast",
        ),
    )
    if plan.resize is not None:
        yield from _other_resizes(plan.resize, base)


def _other_resizes(
    plan: ResizePlan, base: RecipeSettings
) -> Iterator[tuple[str, str, RecipeSettings | _Change]]:
    own = _written_resize(plan)

    def sized(resize: Callable[[], ResizeSettings]) -> _Change:
        return lambda: replace(base, resize=resize())

    for method in _METHODS:
        if method != plan.method:
            yield (
                f"filter:{method}",
                f"resized with {method} instead of {plan.method}",
                sized(lambda method=method: replace(own, method=method, antialias=None)),  # type: ignore[misc]
            )
    if plan.library == "tensorflow":
        state = "without" if plan.antialias else "with"
        yield (
            "filter:antialias",
            f"resized {state} antialias",
            sized(lambda: replace(own, antialias=not plan.antialias)),
        )
    bare = replace(own, short_side=None, pad_color=None)
    side = max(plan.width or 1, plan.height or 1)
    for cause, title, policy, short_side in (
        ("policy:stretch", "stretched to the size", "stretch", None),
        ("policy:crop", "the middle cut out", "short_side_center_crop", side),
        ("policy:crop256", "resized to 256/224 of the size and the middle cut out",
         "short_side_center_crop", round(side * _SHORT_SIDE_RATIO)),
        ("policy:pad", "padded to the aspect ratio", "pad", None),
    ):  # fmt: skip
        if (policy, short_side) != (plan.policy, plan.short_side):
            yield (
                cause,
                title,
                sized(
                    lambda policy=policy, short_side=short_side: replace(  # type: ignore[misc]
                        bare, policy=policy, short_side=short_side
                    )
                ),
            )


def _changes(declared: Recipe) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    if declared.plan.layout == "channels_first":
        return
    height, width = declared.row_shape[:2]
    if height == width:
        yield "axes:transposed", "height and width exchanged", _transposed
    if declared.plan.color != "grayscale":
        yield "color:grey", "colours thrown away", _grey


def _transposed(row: Array) -> Array:
    return np.ascontiguousarray(row.swapaxes(0, 1))


def _grey(row: Array) -> Array:
    mean = row.mean(axis=-1, keepdims=True, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(mean, row.shape)).astype(row.dtype)
