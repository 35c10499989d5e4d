"""The usual scalings of a row, by name. Pure values."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.presets import IMAGENET_MEAN, IMAGENET_STD, Color
from batchproof_server.imaging.settings import RecipePlan

_CAFFE_MEAN: Final = (123.68, 116.779, 103.939)
_PLAIN_SCALINGS: Final[Mapping[str, NormalizeSettings | None]] = MappingProxyType(
    {
        "0..255": None,
        "x / 255": NormalizeSettings(divisor=255.0),
        "x / 127.5 - 1": NormalizeSettings(divisor=127.5, offset=-1.0),
        "(x - 127) / 128": NormalizeSettings(mean=(127.0,), std=(128.0,)),
        "x / 255 - 0.5": NormalizeSettings(divisor=255.0, offset=-0.5),
        "x / 255 twice": NormalizeSettings(divisor=65025.0),
    }
)


def scalings(plan: RecipePlan) -> Mapping[str, NormalizeSettings | None]:
    """The usual scalings of a row with these colours, by name. Of bytes there is none but one."""
    if plan.dtype == "uint8":
        return {"0..255": None}
    return _scalings(plan.color)


@cache
def _scalings(color: Color) -> Mapping[str, NormalizeSettings | None]:
    if color == "grayscale":
        return _PLAIN_SCALINGS
    mean, std, caffe = (
        values if color == "rgb" else values[::-1]
        for values in (IMAGENET_MEAN, IMAGENET_STD, _CAFFE_MEAN)
    )
    return MappingProxyType(
        {
            **_PLAIN_SCALINGS,
            "mean and std of ImageNet": NormalizeSettings(divisor=255.0, mean=mean, std=std),
            "mean and std of ImageNet without / 255": NormalizeSettings(mean=mean, std=std),
            "minus the mean of ImageNet, as caffe": NormalizeSettings(mean=caffe),
        }
    )
