"""The accurate decoder and the 8-bit resizer: Pillow, used as ``keras.utils.load_img`` uses it."""

from collections.abc import Callable
from io import BytesIO
from traceback import clear_frames
from typing import Final, TypeAlias

import numpy as np
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.imaging.geometry import Framing, Picture, Region, Size, picture_size
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.resize import ResizeMethod, ResizePlan

# Grey modes that load_img(color_mode="grayscale") leaves alone; the last two hold 16 bits.
_GREY_MODES = ("L", "I;16", "I")

FILTERS: Final[dict[ResizeMethod, Image.Resampling]] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


# Pixels of a JPEG without its metadata, with so many channels; None leaves the file to Pillow.
QuickDecode: TypeAlias = Callable[[bytes, int], Array | None]
# What is kept of an array of 8 bits at a size that is made of all of it.
QuickResize: TypeAlias = Callable[[Array, Size, Region], Array]


class PillowDecoder:
    """libjpeg's accurate DCT and smooth chroma; colours as ``keras.utils.load_img`` converts them.

    Pillow is handed the file without its metadata, so that no profile, text, thumbnail, animation
    or EXIF block is parsed, expanded or warned about. The pixels are the same.

    Args:
        quick: makes Pillow's very pixels of some JPEG files, sooner; None where Pillow does all.
    """

    def __init__(self, quick: QuickDecode | None = None) -> None:
        self.quick: Final = quick

    def decode(self, encoded: bytes, header: ImageHeader, channels: int) -> Picture:
        """Decodes the first frame.

        Raises:
            InvalidInput: the file is corrupt, truncated, or not what its header says.
        """
        bare = FORMATS[header.format].bare(encoded)
        if self.quick is not None and header.format == "jpeg":
            pixels = self.quick(bare, channels)
            if pixels is not None and pixels.shape[:2] == (header.height, header.width):
                return pixels
        try:
            picture = _opened(bare, header, channels)
        except MemoryError:
            raise
        except Exception as fault:
            # The refusal lives until the caller has it, and with it what Pillow has made so far.
            clear_frames(fault.__traceback__)
            # Pillow's own text names objects and addresses, so it is chained and never shown.
            raise InvalidInput(
                f"the {header.format} file is corrupt or truncated and cannot be decoded"
            ) from fault
        if picture is None:
            raise InvalidInput(f"the {header.format} file contradicts its own header")
        return picture


class PillowResizer:
    """``Image.resize``: antialiased except for ``nearest``, in 8 bits, rounded after each axis.

    Args:
        plan: whose method is used.
        quick: makes the very pixels of arrays, sooner; None where Pillow does all.
    """

    def __init__(self, plan: ResizePlan, quick: QuickResize | None = None) -> None:
        self._filter = FILTERS[plan.method]
        self.quick: Final = quick

    def resize(self, picture: Picture, framing: Framing) -> Picture:
        """What is kept of the picture at the size that is made of it."""
        if isinstance(picture, Image.Image):
            image = picture
        elif self.quick is None or picture.dtype != np.uint8 or framing.read != _whole(picture):
            image = _as_image(picture)
        else:
            return self.quick(picture, framing.made, framing.kept)
        size = framing.made.width, framing.made.height
        # Not cut first: the filter sees what lies outside of the box, as with load_img.
        return framing.kept.of(image.resize(size, self._filter, framing.read.box))


def _opened(bare: bytes, header: ImageHeader, channels: int) -> Image.Image | None:
    """The picture; None where it is not as large as its header says."""
    image = Image.open(BytesIO(bare), formats=(header.format.upper(),))
    if image.size != (header.width, header.height):
        return None
    return _converted(image, channels)


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if channels == 1 and image.mode not in _GREY_MODES:
        return image.convert("L")
    if channels != 1 and image.mode != "RGB":
        return image.convert("RGB")
    image.load()
    # The file of a WebP keeps two canvases for further frames; a copy leaves them behind.
    return image.copy() if image.format == "WEBP" else image


def _whole(pixels: Array) -> Region:
    return Region.whole(picture_size(pixels))


def _as_image(pixels: Array) -> Image.Image:
    grey = pixels.shape[2] == 1
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if grey else pixels))
