"""The usual scalings of a row, by name. Pure values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place
from batchproof_server.imaging.presets import IMAGENET_MEAN, IMAGENET_STD, Color
from batchproof_server.imaging.settings import RecipePlan


@dataclass(frozen=True, slots=True)
class UsualScaling:
    """A way from levels to the values of a row.

    Attributes:
        key: for programs, such as ``unit``.
        name: for people, such as ``x / 255``.
        normalize: None where levels stay as they are.
    """

    key: str
    name: str
    normalize: NormalizeSettings | None


_NONE: Final = UsualScaling("none", "0..255", None)
_PLAIN: Final = (
    _NONE,
    UsualScaling("unit", "x / 255", NormalizeSettings(divisor=255.0)),
    UsualScaling("symmetric", "x / 127.5 - 1", NormalizeSettings(divisor=127.5, offset=-1.0)),
    UsualScaling("by_128", "(x - 127) / 128", NormalizeSettings(mean=(127.0,), std=(128.0,))),
    UsualScaling("centred", "x / 255 - 0.5", NormalizeSettings(divisor=255.0, offset=-0.5)),
    UsualScaling("twice", "x / 255 twice", NormalizeSettings(divisor=65025.0)),
)
_CAFFE_MEAN: Final = (123.68, 116.779, 103.939)
# Channel means and standard deviations of training sets, in RGB, as their users write them.
_DATA_SETS: Final = (
    ("cifar10", "CIFAR-10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ("cifar100", "CIFAR-100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    ("clip", "CLIP", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ("mnist", "MNIST", (0.1307,), (0.3081,)),
    ("fashion_mnist", "Fashion-MNIST", (0.2860,), (0.3530,)),
)


def known_scalings(plan: RecipePlan) -> tuple[UsualScaling, ...]:
    """All that have a name, of a row with these colours. Of bytes there is none but one."""
    return (_NONE,) if plan.dtype == "uint8" else _known(plan.color)


def known_as(plan: RecipePlan) -> UsualScaling | None:
    """The one that does what the recipe's own does, however its steps are written."""
    return next((each for each in known_scalings(plan) if does_the_same(each, plan)), None)


def does_the_same(scaling: UsualScaling, plan: RecipePlan) -> bool:
    """Whether black and white become what the recipe makes of them, but for float32's rounding."""
    ours, theirs = (
        np.stack(scaling_ends(each or NormalizeSettings(), plan.channels))
        for each in (plan.normalize, scaling.normalize)
    )
    return bool(np.abs(ours - theirs).max() <= _ROUNDED * np.abs(theirs[1] - theirs[0]).max())


_ROUNDED: Final = 1e-6


def scaling_ends(normalize: NormalizeSettings, channels: int) -> tuple[Array, Array]:
    """What black and white become: float64 [channels] each."""
    levels = np.zeros((2, 1, channels), np.float32)
    levels[1] = 255.0
    black, white = normalize_in_place(levels, normalize)[:, 0].astype(np.float64)
    return black, white


def scalings(plan: RecipePlan) -> Mapping[str, NormalizeSettings | None]:
    """Those that a search tries, by name: not the statistics of other data sets than ImageNet."""
    return {each.name: each.normalize for each in known_scalings(plan) if _is_tried(each, plan)}


def _is_tried(scaling: UsualScaling, plan: RecipePlan) -> bool:
    return scaling in _PLAIN or (plan.color != "grayscale" and scaling in _of_imagenet(plan.color))


@cache
def _known(color: Color) -> tuple[UsualScaling, ...]:
    return (*_PLAIN, *_of_imagenet(color), *_of_data_sets(color))


@cache
def _of_imagenet(color: Color) -> tuple[UsualScaling, ...]:
    mean, std, caffe = (
        _in_channels(values, color) for values in (IMAGENET_MEAN, IMAGENET_STD, _CAFFE_MEAN)
    )
    name = "mean and std of ImageNet"
    return (
        UsualScaling("imagenet", name, NormalizeSettings(divisor=255.0, mean=mean, std=std)),
        UsualScaling(
            "imagenet_levels", f"{name} without / 255", NormalizeSettings(mean=mean, std=std)
        ),
        UsualScaling(
            "caffe", "minus the mean of ImageNet, as caffe", NormalizeSettings(mean=caffe)
        ),
    )


def _of_data_sets(color: Color) -> Iterator[UsualScaling]:
    for key, title, mean, std in _DATA_SETS:
        steps = NormalizeSettings(
            divisor=255.0, mean=_in_channels(mean, color), std=_in_channels(std, color)
        )
        yield UsualScaling(key, f"mean and std of {title}", steps)


def _in_channels(values: tuple[float, ...], color: Color) -> tuple[float, ...]:
    """In the order of the colours; of a grey row their mean."""
    if len(values) == 1:
        return values
    if color == "grayscale":
        return (sum(values) / len(values),)
    return values[::-1] if color == "bgr" else values
