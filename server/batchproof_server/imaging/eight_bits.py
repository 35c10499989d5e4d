"""Pixels of any depth as an image of 8 bits a channel, for what only looks at a picture."""

from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array

_MAX_8_BITS: Final = 255


def image_of_8_bits(pixels: Array) -> Image.Image:
    """An image of 8 bits from [height, width] or [height, width, 1 or 3]."""
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels.astype(np.int64) >> 8, 0, _MAX_8_BITS).astype(np.uint8)
    squeezed = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels  # noqa: PLR2004 - axes
    return Image.fromarray(np.ascontiguousarray(squeezed))
