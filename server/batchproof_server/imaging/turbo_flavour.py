"""Plain JPEG files by libjpeg-turbo alone, where it gives Pillow's very pixels, sooner.

It comes with the extra ``pictures``. Pillow decides in every doubt.
"""

from functools import cache
from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.formats import jpeg

_TRIED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("L", {}),
    ("L", {"progressive": True}),
    ("RGB", {"subsampling": 0}),
    ("RGB", {"subsampling": 1}),
    ("RGB", {"subsampling": 2}),
    ("RGB", {"subsampling": 2, "progressive": True}),
    ("RGB", {"subsampling": 2, "quality": 20, "restart_marker_blocks": 1}),
)


def plain_jpeg(bare: bytes, channels: int) -> Array | None:
    """The pixels of a JPEG without its metadata, uint8 [height, width, channels].

    None where it is not plain, or the decoder finds anything to complain about.
    """
    return _decoded(bare, channels) if jpeg.is_plain(bare, channels) else None


def _decoded(bare: bytes, channels: int) -> Array | None:
    """The pixels; None where the decoder finds anything to complain about."""
    import simplejpeg  # noqa: PLC0415 - may be missing

    colorspace = "GRAY" if channels == 1 else "RGB"
    try:
        pixels: Array = simplejpeg.decode_jpeg(bare, colorspace, strict=True)
    except ValueError:
        return None
    return pixels


@cache
def turbo_agrees() -> bool:
    """Whether simplejpeg is installed and gives the pixels of Pillow; found out once."""
    try:
        return all(_agrees(mode, options) for mode, options in _TRIED)
    except Exception:  # noqa: BLE001 - whatever it does, Pillow makes the same pixels
        return False


def _agrees(mode: str, options: dict[str, Any]) -> bool:
    noise = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    image = Image.fromarray(noise).resize((61, 43), Image.Resampling.BICUBIC).convert(mode)
    file = BytesIO()
    image.save(file, "JPEG", **options)
    expected = np.asarray(Image.open(file))
    came = _decoded(file.getvalue(), 1 if mode == "L" else 3)
    return came is not None and np.array_equal(came.reshape(expected.shape), expected)
