"""Who makes Pillow's pixels: Pillow, or what was found to make the same ones sooner."""

from functools import cache, partial

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.compiled_flavour import (
    QuickPasses,
    luma,
    quick_passes,
    resized,
)
from batchproof_server.imaging.eight_bits import image_of_8_bits
from batchproof_server.imaging.passes import COLOURS
from batchproof_server.imaging.pillow_flavour import PillowDecoder, PillowResizer
from batchproof_server.imaging.resize import ResizePlan
from batchproof_server.imaging.turbo_flavour import plain_jpeg, turbo_agrees


def accurate_decoder() -> PillowDecoder:
    """The decoder ``accurate``."""
    return PillowDecoder(None if quick() is None else plain_jpeg)


def pillow_resizer(plan: ResizePlan) -> PillowResizer:
    """The resize library ``pillow``."""
    passes = quick()
    return PillowResizer(plan, None if passes is None else partial(resized, passes, plan.method))


def luma_image(pixels: Array) -> Image.Image:
    """The luma of an array, as Pillow's ``L``.

    Args:
        pixels: [height, width, 1 or 3], of 8 or 16 bits, of which the upper 8 are taken.
    """
    passes = quick()
    if passes is not None and pixels.dtype == np.uint8 and pixels.shape[2] == COLOURS:
        return luma(passes, pixels)
    image = image_of_8_bits(pixels)
    return image if image.mode == "L" else image.convert("L")


@cache
def quick() -> QuickPasses | None:
    """What the extra ``pictures`` brings; None where Pillow does all.

    One part without the other would have to convert each picture, and gain nothing. Found out
    once, in about two seconds.
    """
    return quick_passes() if turbo_agrees() else None
