"""The file formats by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from batchproof_server.imaging.formats import bmp, gif, jpeg, png, webp


@dataclass(frozen=True, slots=True)
class DecodingCost:
    """The most that a decoder takes, measured (docs/measurements/decoding.md).

    Attributes:
        accurate: bytes a pixel of the decoder ``accurate``, the picture among them.
        tensorflow_fast: bytes a pixel of the decoder ``tensorflow-fast``, likewise.
    """

    accurate: int
    tensorflow_fast: int


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What is known of one file format; every function raises InvalidInput and nothing else.

    Attributes:
        first_byte: of every file of this format, and of no other format here.
        recognises: whether the file begins as one of this format.
        size_pixels: width and height from the header, without decoding.
        exif: the TIFF block of the EXIF metadata, or nothing.
        bare: the file with what decides the pixels of the first frame, and nothing else.
        cost: what decoding the file takes.
    """

    first_byte: int
    recognises: Callable[[bytes], bool]
    size_pixels: Callable[[bytes], tuple[int, int]]
    exif: Callable[[bytes], bytes]
    bare: Callable[[bytes], bytes]
    cost: Callable[[bytes], DecodingCost]


# Pillow holds a picture of colours in 4 bytes a pixel, of grey levels or of a palette in 1, of 16
# bits in 2. Where the model wants another kind than the file has, both are there for a moment.
# TensorFlow's own has 3, and the array that is made of it 3 more.
_IN_COLOUR: Final = 4
_IN_TENSORFLOW: Final = 6
# With alpha, then without; more than a palette or 16 bits and then colours.
_WITH_ALPHA: Final = DecodingCost(2 * _IN_COLOUR, _IN_TENSORFLOW)
# One byte of palette, then colours; TensorFlow reads the palette into one more.
_WITH_PALETTE: Final = DecodingCost(1 + _IN_COLOUR, _IN_TENSORFLOW + 1)
# Pillow reads every WebP as an animation: two canvases, the bytes of a frame, the picture; and the
# plane of its alpha, which is compressed apart.
# TensorFlow reads into its tensor, beside libwebp's own pixels.
_WEBP: Final = DecodingCost(4 * _IN_COLOUR + 1, 3 + _IN_COLOUR)


def _jpeg_cost(encoded: bytes) -> DecodingCost:
    """Where a picture comes in more than one scan, all its coefficients are held, of 2 bytes."""
    components, in_scans = jpeg.components(encoded)
    own = 1 if components == 1 else _IN_COLOUR
    # Inks become colours, and these grey; grey becomes colours.
    converted = 2 * _IN_COLOUR + 1 if components == jpeg.INKS else 1 + _IN_COLOUR
    coefficients = 2 * components * in_scans
    return DecodingCost(max(own + coefficients, converted), max(3 + coefficients, _IN_TENSORFLOW))


FORMATS: Mapping[str, FileFormat] = MappingProxyType(
    {
        "jpeg": FileFormat(
            0xFF, jpeg.recognises, jpeg.size_pixels, jpeg.exif, jpeg.bare, _jpeg_cost
        ),
        "png": FileFormat(
            0x89, png.recognises, png.size_pixels, png.exif, png.bare, lambda _: _WITH_ALPHA
        ),
        "webp": FileFormat(
            ord("R"), webp.recognises, webp.size_pixels, webp.exif, webp.bare, lambda _: _WEBP
        ),
        "bmp": FileFormat(
            ord("B"), bmp.recognises, bmp.size_pixels, bmp.exif, bmp.bare, lambda _: _WITH_ALPHA
        ),
        "gif": FileFormat(
            ord("G"), gif.recognises, gif.size_pixels, gif.exif, gif.bare, lambda _: _WITH_PALETTE
        ),
    }
)

FORMAT_BY_FIRST_BYTE: Mapping[int, str] = MappingProxyType(
    {kind.first_byte: name for name, kind in FORMATS.items()}
)
