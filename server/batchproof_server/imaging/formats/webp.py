"""WebP: RFC 9649."""

from collections.abc import Iterator

from batchproof_server.imaging.formats.cost import IN_COLOUR, DecodingCost
from batchproof_server.imaging.formats.reading import broken, fields

_NAME = "webp"
_FIRST_CHUNK = 12
_VP8_START = b"\x9d\x01\x2a"
_VP8L_START = 0x2F
_SIDE_BITS = 0x3FFF
# One chunk for each frame of an animation, and a few more.
_MAX_CHUNKS = 20_000


def recognises(encoded: bytes) -> bool:
    """Whether the file begins as a WebP."""
    return encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP"


def size_pixels(encoded: bytes) -> tuple[int, int]:
    """Width and height of the canvas or of the only frame.

    Raises:
        InvalidInput: the first chunk holds no picture.
    """
    kind = fields(encoded, _FIRST_CHUNK, "<4sI", _NAME)[0]
    match kind:
        case b"VP8X":
            return _canvas(encoded)
        case b"VP8 ":
            start, width, height = fields(encoded, 23, "<3sHH", _NAME)
            if start == _VP8_START:
                return width & _SIDE_BITS, height & _SIDE_BITS
        case b"VP8L":
            start, packed = fields(encoded, 20, "<BI", _NAME)
            if start == _VP8L_START:
                return (packed & _SIDE_BITS) + 1, (packed >> 14 & _SIDE_BITS) + 1
    raise broken(_NAME, "its first chunk holds no picture")


def exif(encoded: bytes) -> bytes:
    """The EXIF chunk without the prefix that some writers add, or nothing."""
    for kind, body in _chunks(encoded):
        if kind == b"EXIF":
            return body.removeprefix(b"Exif\0\0")
    return b""


def bare(encoded: bytes) -> bytes:
    """The file: its decoder steps over what is not the picture."""
    return encoded


def cost(_: bytes) -> DecodingCost:
    """Pillow reads every WebP as an animation.

    Two canvases, the bytes of a frame, the picture; and the plane of its alpha, which is compressed
    apart. TensorFlow reads into its tensor, beside libwebp's own pixels.
    """
    return DecodingCost(4 * IN_COLOUR + 1, 3 + IN_COLOUR)


def _canvas(encoded: bytes) -> tuple[int, int]:
    low_width, high_width, low_height, high_height = fields(encoded, 24, "<HBHB", _NAME)
    return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = _FIRST_CHUNK
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(encoded):
            return
        kind, length = fields(encoded, position, "<4sI", _NAME)
        yield kind, encoded[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
