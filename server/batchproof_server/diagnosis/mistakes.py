"""The usual mistakes of a recipe: what callers do to a picture instead of what is declared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.imaging.resize import ResizeMethod, ResizePlan, ResizeSettings
from batchproof_server.imaging.settings import RecipePlan, RecipeSettings

_DECLARED: Final = ("", "as declared")
_COLORS: Final = 3
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
class ScalingMistake:
    """Another way from levels to the values of the tensor.

    Attributes:
        cause: such as ``scaling:unit``; empty for the declared recipe.
        title: in words.
        normalize: the arithmetic.
        change: done to the tensor afterwards.
    """

    cause: str
    title: str
    normalize: NormalizeSettings
    change: Callable[[Array], Array] | None = None

    def row(self, levels: Array) -> Array:
        """The tensor of levels, float32."""
        row = np.array(levels, np.float32)
        if row.size:
            normalize_in_place(row if row.ndim == _COLORS else row[..., np.newaxis], self.normalize)
        return row if self.change is None else self.change(row)


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
    return Mistakes(tuple(_framings(recipe, make)), tuple(_scalings(recipe.plan)))


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


_UNIT: Final = NormalizeSettings(divisor=255.0)
# Channel means and standard deviations of the training sets, in RGB, as their users write them.
_DATA_SETS: Final = (
    ("imagenet", "ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ("cifar10", "CIFAR-10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ("cifar100", "CIFAR-100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    ("clip", "CLIP", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ("mnist", "MNIST", (0.1307,), (0.3081,)),
    ("fashion_mnist", "Fashion-MNIST", (0.2860,), (0.3530,)),
)
_CAFFE_MEAN: Final = (123.68, 116.779, 103.939)


def _scalings(plan: RecipePlan) -> Iterator[ScalingMistake]:
    declared = plan.normalize or NormalizeSettings()
    yield ScalingMistake(*_DECLARED, declared)
    if plan.dtype == "uint8":
        return
    own = scaling_ends(declared, plan.channels)
    for cause, title, normalize in _usual_scalings(plan):
        if not _alike(scaling_ends(normalize, plan.channels), own):
            yield ScalingMistake(f"scaling:{cause}", title, normalize)
    black, white = own
    yield ScalingMistake(
        "scaling:inverted", "black and white exchanged", declared, _Mirror(black + white)
    )
    yield ScalingMistake(
        "scaling:per_image", "each picture brought to mean 0 and deviation 1", _UNIT, _standardised
    )


def _usual_scalings(plan: RecipePlan) -> Iterator[tuple[str, str, NormalizeSettings]]:
    yield "none", "levels 0 to 255, not scaled", NormalizeSettings()
    yield "unit", "divided by 255", _UNIT
    yield "symmetric", "divided by 127.5, minus 1", NormalizeSettings(divisor=127.5, offset=-1.0)
    yield "twice", "divided by 255 twice", NormalizeSettings(divisor=255.0 * 255.0)
    declared = plan.normalize
    if declared is not None and (declared.mean or declared.std):
        yield (
            "no_statistics",
            "mean and std missing",
            replace(declared, mean=None, std=None),
        )
    for cause, title, mean, std in _DATA_SETS:
        means, stds = _in_channels(mean, plan), _in_channels(std, plan)
        normalize = NormalizeSettings(divisor=255.0, mean=means, std=stds)
        yield cause, f"mean and std of {title}", normalize
    caffe = NormalizeSettings(mean=_in_channels(_CAFFE_MEAN, plan))
    yield "caffe", "only the mean of ImageNet subtracted", caffe


def _in_channels(values: tuple[float, ...], plan: RecipePlan) -> tuple[float, ...]:
    if len(values) == 1:
        return values
    if plan.channels == 1:
        return (sum(values) / len(values),)
    return values[::-1] if plan.color == "bgr" else values


def scaling_ends(normalize: NormalizeSettings, channels: int) -> tuple[Array, Array]:
    """What black and white become: float64 [channels] each."""
    levels = np.zeros((2, 1, channels), np.float32)
    levels[1] = 255.0
    black, white = normalize_in_place(levels, normalize)[:, 0].astype(np.float64)
    return black, white


def _alike(one: tuple[Array, Array], other: tuple[Array, Array]) -> bool:
    return all(
        np.allclose(a, b, rtol=1e-4, atol=1e-4 * float(np.abs(other[1] - other[0]).max()))
        for a, b in zip(one, other, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Mirror:
    """Black becomes white and white black."""

    total: Array

    def __call__(self, row: Array) -> Array:
        mirrored: Array = (self.total - row.astype(np.float64)).astype(np.float32)
        return mirrored


def _standardised(row: Array) -> Array:
    """As ``tf.image.per_image_standardization``: the deviation is at least 1 / sqrt(values)."""
    exact = row.astype(np.float64)
    deviation = max(float(exact.std()), exact.size**-0.5)
    result: Array = ((exact - exact.mean()) / deviation).astype(np.float32)
    return result
