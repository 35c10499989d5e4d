"""The usual ways from levels to the values of a tensor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place
from batchproof_server.imaging.settings import RecipePlan

_AXES: Final = 3


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
            normalize_in_place(row if row.ndim == _AXES else row[..., np.newaxis], self.normalize)
        return row if self.change is None else self.change(row)


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


def usual_scalings(plan: RecipePlan) -> Iterator[ScalingMistake]:
    """The declared one first, then what is usually done instead, as far as it differs."""
    declared = plan.normalize or NormalizeSettings()
    yield ScalingMistake("", "as declared", declared)
    if plan.dtype == "uint8":
        return
    own = scaling_ends(declared, plan.channels)
    for cause, title, normalize in _other_scalings(plan):
        if not _alike(scaling_ends(normalize, plan.channels), own):
            yield ScalingMistake(f"scaling:{cause}", title, normalize)
    black, white = own
    yield ScalingMistake(
        "scaling:inverted", "black and white exchanged", declared, _Mirror(black + white)
    )
    yield ScalingMistake(
        "scaling:per_image", "each picture brought to mean 0 and deviation 1", _UNIT, _standardised
    )


def _other_scalings(plan: RecipePlan) -> Iterator[tuple[str, str, NormalizeSettings]]:
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
