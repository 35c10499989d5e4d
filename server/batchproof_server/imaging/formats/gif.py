"""GIF: CompuServe GIF89a."""

from dataclasses import dataclass

from batchproof_server.imaging.formats.cost import IN_COLOUR, IN_TENSORFLOW, DecodingCost
from batchproof_server.imaging.formats.reading import broken, fields, truncated

_NAME = "gif"
_SCREEN_LENGTH = 13
_DESCRIPTOR_LENGTH = 10
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_PALETTE_FLAG, _PALETTE_SIZE = 0x80, 0x07

# 200,000 full blocks are 51 MB of picture; a hostile file could fill blocks with one byte each.
_MAX_BLOCKS = 200_000
_MAX_EXTENSIONS = 100
_MAX_EXTENSION_BLOCKS = 10_000


@dataclass(frozen=True, slots=True)
class _FirstFrame:
    """Where the first frame lies.

    Attributes:
        screen_end: where the global palette ends.
        control: the graphic control extension before the frame, or nothing.
        start: the image descriptor.
        data: the first data block.
    """

    screen_end: int
    control: bytes
    start: int
    data: int


def recognises(encoded: bytes) -> bool:
    """Whether the file begins as a GIF."""
    return encoded.startswith((b"GIF87a", b"GIF89a"))


def size_pixels(encoded: bytes) -> tuple[int, int]:
    """Width and height of the logical screen, enlarged to hold the first frame, as Pillow does.

    Raises:
        InvalidInput: the file ends before its first frame.
    """
    screen_width, screen_height = fields(encoded, 6, "<HH", _NAME)
    frame = _first_frame(encoded)
    left, top, width, height = fields(encoded, frame.start + 1, "<HHHH", _NAME)
    return max(screen_width, left + width), max(screen_height, top + height)


def exif(_: bytes) -> bytes:
    """The format has none."""
    return b""


def bare(encoded: bytes) -> bytes:
    """The file with its first frame alone, and without comments."""
    frame = _first_frame(encoded)
    end = _blocks_end(encoded, frame.data, _MAX_BLOCKS)
    return b"".join(
        (encoded[: frame.screen_end], frame.control, encoded[frame.start : end], b"\x3b")
    )


def cost(_: bytes) -> DecodingCost:
    """One byte of palette, then colours; TensorFlow reads the palette into one more."""
    return DecodingCost(1 + IN_COLOUR, IN_TENSORFLOW + 1)


def _first_frame(encoded: bytes) -> _FirstFrame:
    flags = fields(encoded, 10, "<BBB", _NAME)[0]
    screen_end = position = _SCREEN_LENGTH + _palette_bytes(flags)
    control = b""
    for _ in range(_MAX_EXTENSIONS):
        kind = fields(encoded, position, "<B", _NAME)[0]
        if kind == _IMAGE:
            return _FirstFrame(screen_end, control, position, _data(encoded, position))
        if kind != _EXTENSION:
            break
        label = fields(encoded, position + 1, "<B", _NAME)[0]
        end = _blocks_end(encoded, position + 2, _MAX_EXTENSION_BLOCKS)
        if label == _GRAPHIC_CONTROL:
            control = encoded[position:end]
        position = end
    raise broken(_NAME, "it has no picture")


def _data(encoded: bytes, start: int) -> int:
    flags = fields(encoded, start + _DESCRIPTOR_LENGTH - 1, "<B", _NAME)[0]
    data = start + _DESCRIPTOR_LENGTH + _palette_bytes(flags) + 1
    if data > len(encoded):
        raise truncated(encoded, _NAME)
    return data


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & _PALETTE_SIZE) + 1 if flags & _PALETTE_FLAG else 0


def _blocks_end(encoded: bytes, position: int, max_blocks: int) -> int:
    """Behind the empty block that ends a run of blocks, or the end of a file that is cut short."""
    for _ in range(max_blocks):
        if position >= len(encoded):
            return len(encoded)
        length = encoded[position]
        position += 1 + length
        if length == 0:
            return position
    raise broken(_NAME, f"it has more than {max_blocks} blocks in a row")
