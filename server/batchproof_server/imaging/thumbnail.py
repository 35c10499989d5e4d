"""A small copy of a picture, to be looked at by people."""

import io

import numpy as np
from PIL import Image

from batchproof_server.imaging.eight_bits import image_of_8_bits
from batchproof_server.imaging.geometry import Picture


def reduced(picture: Picture, max_side_pixels: int) -> Picture:
    """The picture at a size in which trying much takes little time; itself where it is no larger.

    One of 16 bits a pixel stays as it is.
    """
    image = picture if isinstance(picture, Image.Image) else None
    if image is None and isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        image = image_of_8_bits(picture)
    if image is None or image.mode not in ("L", "RGB") or max(image.size) <= max_side_pixels:
        return picture
    small = image.copy()
    small.thumbnail((max_side_pixels, max_side_pixels))
    return small


def thumbnail_png(picture: Picture, max_side_pixels: int) -> bytes:
    """A PNG file of the picture, reduced where a side is longer than that."""
    image = picture if isinstance(picture, Image.Image) else image_of_8_bits(picture)
    if image.mode not in ("L", "RGB"):  # 16 bits a pixel
        image = image_of_8_bits(np.asarray(image))
    small = image.copy()
    small.thumbnail((max_side_pixels, max_side_pixels))
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()
