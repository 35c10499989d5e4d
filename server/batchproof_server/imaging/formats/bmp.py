"""BMP: the Windows bitmap headers of 12 and of 40 bytes or more."""

from batchproof_server.base.errors import InvalidInput
from batchproof_server.imaging.formats.cost import WITH_ALPHA, DecodingCost
from batchproof_server.imaging.formats.reading import broken, fields

_NAME = "bmp"
_CORE_HEADER = 12
_INFO_HEADERS = (40, 52, 56, 64, 108, 124)
_UNCOMPRESSED = (0, 3)


def recognises(encoded: bytes) -> bool:
    """Whether the file begins as a BMP."""
    return encoded.startswith(b"BM")


def size_pixels(encoded: bytes) -> tuple[int, int]:
    """Width and height; a negative height (rows from the top) counts without its sign.

    Raises:
        InvalidInput: an unknown header, or a compressed picture.
    """
    header = fields(encoded, 14, "<I", _NAME)[0]
    if header == _CORE_HEADER:
        width, height = fields(encoded, 18, "<HH", _NAME)
        return width, height
    if header not in _INFO_HEADERS:
        raise broken(_NAME, f"its header has {header} bytes")
    width, height, _, _, compression = fields(encoded, 18, "<IiHHI", _NAME)
    if compression not in _UNCOMPRESSED:
        raise InvalidInput("the bmp file is compressed, expected one that is not")
    return width, abs(height)


def exif(_: bytes) -> bytes:
    """The format has none."""
    return b""


def bare(encoded: bytes) -> bytes:
    """The file: it holds nothing but the picture."""
    return encoded


def cost(_: bytes) -> DecodingCost:
    """As any file that may have alpha."""
    return WITH_ALPHA
