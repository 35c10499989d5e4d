"""The file formats by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from batchproof_server.imaging.formats import bmp, gif, jpeg, png, webp
from batchproof_server.imaging.formats.cost import DecodingCost


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


FORMATS: Mapping[str, FileFormat] = MappingProxyType(
    {
        "jpeg": FileFormat(
            0xFF, jpeg.recognises, jpeg.size_pixels, jpeg.exif, jpeg.bare, jpeg.cost
        ),
        "png": FileFormat(0x89, png.recognises, png.size_pixels, png.exif, png.bare, png.cost),
        "webp": FileFormat(
            ord("R"), webp.recognises, webp.size_pixels, webp.exif, webp.bare, webp.cost
        ),
        "bmp": FileFormat(ord("B"), bmp.recognises, bmp.size_pixels, bmp.exif, bmp.bare, bmp.cost),
        "gif": FileFormat(ord("G"), gif.recognises, gif.size_pixels, gif.exif, gif.bare, gif.cost),
    }
)

FORMAT_BY_FIRST_BYTE: Mapping[int, str] = MappingProxyType(
    {kind.first_byte: name for name, kind in FORMATS.items()}
)
