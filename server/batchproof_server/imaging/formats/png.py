"""PNG: W3C Portable Network Graphics, third edition."""

import struct
from dataclasses import dataclass
from typing import Final

from batchproof_server.imaging.formats.cost import WITH_ALPHA, DecodingCost
from batchproof_server.imaging.formats.reading import broken, truncated

_NAME = "png"
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_IHDR_LENGTH = 13
# All that decides RGB or grey levels. Transparency does not: alpha is dropped. Text, profiles and
# animations are left out, compressed bombs among them.
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})

_HEADER: Final = struct.Struct(">I4sIIBBBBB")
_CHUNK_HEAD: Final = struct.Struct(">I4s")

# An encoder that writes 1 kB pieces needs 10,000 chunks for 10 MB.
_MAX_CHUNKS = 20_000


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    body: int
    end: int


def recognises(encoded: bytes) -> bool:
    """Whether the file begins as a PNG."""
    return encoded.startswith(_SIGNATURE)


def size_pixels(encoded: bytes) -> tuple[int, int]:
    """Width and height from IHDR.

    Raises:
        InvalidInput: IHDR is not the first chunk, or is truncated.
    """
    try:
        length, kind, width, height, *_ = _HEADER.unpack_from(encoded, len(_SIGNATURE))
    except struct.error:
        raise truncated(encoded, _NAME) from None
    if kind != b"IHDR" or length != _IHDR_LENGTH:
        raise broken(_NAME, "its first chunk is not a valid IHDR")
    return width, height


def exif(encoded: bytes) -> bytes:
    """The eXIf chunk, or nothing."""
    for chunk in _chunks(encoded):
        if chunk.kind == b"eXIf":
            return encoded[chunk.body : chunk.end - 4]
    return b""


def bare(encoded: bytes) -> bytes:
    """The file with nothing but header, palette and pixels.

    Raises:
        InvalidInput: two headers, or more chunks than any encoder writes.
    """
    pieces, headers = [_SIGNATURE], 0
    for chunk in _chunks(encoded):
        if chunk.kind in _PIXEL_CHUNKS:
            headers += chunk.kind == b"IHDR"
            pieces.append(encoded[chunk.start : chunk.end])
    if headers != 1:
        raise broken(_NAME, "it has more than one IHDR chunk")
    return b"".join(pieces)


def cost(_: bytes) -> DecodingCost:
    """As any file that may have alpha."""
    return WITH_ALPHA


def _chunks(encoded: bytes) -> list[_Chunk]:
    """The chunks; the last one may be cut short, which its decoder finds."""
    position = len(_SIGNATURE)
    chunks: list[_Chunk] = []
    while position < len(encoded):
        if len(chunks) == _MAX_CHUNKS:
            raise broken(_NAME, f"it has more than {_MAX_CHUNKS} chunks")
        try:
            length, kind = _CHUNK_HEAD.unpack_from(encoded, position)
        except struct.error:
            raise truncated(encoded, _NAME) from None
        chunk = _Chunk(kind, position, position + 8, position + 12 + length)
        if chunk.end > len(encoded) and kind != b"IDAT":
            raise truncated(encoded, _NAME)
        chunks.append(chunk)
        if kind == b"IEND":
            break
        position = chunk.end
    return chunks
