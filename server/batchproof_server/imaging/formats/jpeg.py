"""JPEG: ISO/IEC 10918-1, annex B."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.formats.cost import IN_COLOUR, IN_TENSORFLOW, DecodingCost
from batchproof_server.imaging.formats.reading import broken, fields, truncated

_NAME = "jpeg"
_INKS: Final = 4
_START: Final = b"\xff\xd8"
# A marker: fill bytes, then a code. Junk and stuffed zeros before it are skipped, as libjpeg does.
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN, _END, _APP0, _APP1, _APP14, _COMMENT = 0xDA, 0xD9, 0xE0, 0xE1, 0xEE, 0xFE
_METADATA = frozenset({*range(_APP0, 0xF0), _COMMENT})
_EXIF: Final = b"Exif\0\0"
_BASELINE, _PROGRESSIVE_HUFFMAN = 0xC0, 0xC2
_PLAIN_FRAMES = frozenset({_BASELINE, _PROGRESSIVE_HUFFMAN})
# Of the segments of a plain file: JFIF and Adobe whole, frame, tables, restart interval, scan.
_LEAST_BYTES: Final = {
    _APP0: 14,
    _APP14: 12,
    _BASELINE: 9,
    _PROGRESSIVE_HUFFMAN: 9,
    0xC4: 17,
    0xDB: 65,
    0xDD: 2,
    _SCAN: 6,
}
# How much finer the first colour is sampled than the others, along width and height in 4 bits each.
_NOT_SAMPLED: Final = 0x11
_SAMPLED: Final = {1: (0x11,), 3: (0x11, 0x21, 0x12, 0x22, 0x41)}

# Real files have fewer than 100 header segments and 20 scans. Each scan of a progressive file
# costs a pass over all coefficients, so a few bytes more could cost seconds more.
_MAX_SEGMENTS = 2_000
_MAX_SCANS = 100
_FILL: Final = 0xFF
# What is looked at for scans at once.
_PIECE: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class _Segment:
    code: int
    start: int
    body: int
    end: int


def recognises(encoded: bytes) -> bool:
    """Whether the file begins as a JPEG."""
    return encoded.startswith(_START + b"\xff")


def size_pixels(encoded: bytes) -> tuple[int, int]:
    """Width and height from the frame header.

    Raises:
        InvalidInput: no frame header, two of them, or one that no decoder here reads.
    """
    frames = [segment for segment in _segments(encoded) if segment.code in _FRAMES]
    if len(frames) != 1:
        raise broken(_NAME, f"it has {len(frames)} frame headers, expected 1")
    bits, height, width, components = fields(encoded, frames[0].body, ">BHHB", _NAME)
    if bits != 8 or components not in (1, 3, 4):  # noqa: PLR2004 - the only depth of this format
        raise InvalidInput(
            f"the jpeg file has {components} components of {bits} bits, "
            "expected 1, 3 or 4 of 8 bits"
        )
    return width, height


def _components(encoded: bytes) -> tuple[int, bool]:
    """How many colours the file has, and whether they come in more than one scan.

    Raises:
        InvalidInput: it ends before its first scan.
    """
    colours, in_first_scan, is_progressive = 0, 0, False
    for segment in _segments(encoded):
        if segment.code in _FRAMES:
            colours = fields(encoded, segment.body, ">BHHB", _NAME)[3]
            is_progressive = segment.code in _PROGRESSIVE
        elif segment.code == _SCAN:
            in_first_scan = fields(encoded, segment.body, ">B", _NAME)[0]
    return colours, is_progressive or in_first_scan < colours


def is_plain(bare: bytes, channels: int) -> bool:
    """Whether a file without metadata has nothing in which two readers of JPEG may differ.

    It is grey, or has three colours and colours are wanted; colour is sampled in a common way, and
    no segment is of another kind or shorter than encoders write it.

    Args:
        bare: as ``bare`` gave it.
        channels: wanted, 1 or 3.
    """
    frames = 0
    for segment in _segments(bare):
        body = bare[segment.body : segment.end]
        if len(body) < _LEAST_BYTES.get(segment.code, len(body) + 1):
            return False
        if segment.code in _PLAIN_FRAMES:
            frames += 1
            if not _is_plain_frame(body, channels):
                return False
    return frames == 1


def _is_plain_frame(body: bytes, channels: int) -> bool:
    came, sampling = body[5], body[7::3]
    if len(body) != 6 + 3 * came or came not in (1, channels):
        return False
    return sampling[0] in _SAMPLED[came] and set(sampling[1:]) <= {_NOT_SAMPLED}


def exif(encoded: bytes) -> bytes:
    """The first EXIF block, or nothing."""
    for segment in _segments(encoded):
        body = encoded[segment.body : segment.end]
        if segment.code == _APP1 and body.startswith(_EXIF):
            return body[len(_EXIF) :]
    return b""


def bare(encoded: bytes) -> bytes:
    """The file without metadata: no profiles, comments, thumbnails, or further pictures.

    JFIF and Adobe segments stay, for they decide the colours.

    Raises:
        InvalidInput: more scans than any encoder writes.
    """
    kept = [_START]
    scans_start = len(encoded)
    for segment in _segments(encoded):
        if segment.code == _SCAN:
            scans_start = segment.start
        elif _decides_pixels(segment, encoded):
            kept.append(encoded[segment.start : segment.end])
    scans = _scans(encoded, scans_start)
    if scans > _MAX_SCANS:
        raise InvalidInput(f"the jpeg file has {scans} scans, expected at most {_MAX_SCANS}")
    return b"".join((*kept, encoded[scans_start:]))


def cost(encoded: bytes) -> DecodingCost:
    """Where a picture comes in more than one scan, all its coefficients are held, of 2 bytes."""
    number, in_scans = _components(encoded)
    own = 1 if number == 1 else IN_COLOUR
    # Inks become colours, and these grey; grey becomes colours.
    converted = 2 * IN_COLOUR + 1 if number == _INKS else 1 + IN_COLOUR
    coefficients = 2 * number * in_scans
    return DecodingCost(max(own + coefficients, converted), max(3 + coefficients, IN_TENSORFLOW))


def _scans(encoded: bytes, start: int) -> int:
    """Counts the markers of scans in a quarter of the time of ``bytes.count``, in little memory."""
    codes = np.frombuffer(encoded, np.uint8)
    pieces = (codes[begin : begin + _PIECE + 1] for begin in range(start, len(codes), _PIECE))
    return sum(int(np.count_nonzero(_marks_of_scans(piece))) for piece in pieces)


def _marks_of_scans(codes: Array) -> Array:
    marks: Array = codes[:-1] == _FILL
    marks &= codes[1:] == _SCAN
    return marks


def _decides_pixels(segment: _Segment, encoded: bytes) -> bool:
    body = encoded[segment.body : segment.body + 5]
    if segment.code == _APP0:
        return body == b"JFIF\0"
    if segment.code == _APP14:
        return body == b"Adobe"
    return segment.code not in _METADATA


def _segments(encoded: bytes) -> Iterator[_Segment]:
    """The segments up to and including the start of the first scan."""
    position = len(_START)
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(encoded, position)
        if marker is None:
            raise truncated(encoded, _NAME)
        code, start, body = marker[1][0], marker.end() - 2, marker.end()
        if code == _END:
            raise truncated(encoded, _NAME)
        if code in _WITHOUT_LENGTH:
            position = body
            continue
        segment = _Segment(code, start, body + 2, body + _length(encoded, body))
        yield segment
        if code == _SCAN:
            return
        position = segment.end
    raise broken(_NAME, f"it has more than {_MAX_SEGMENTS} segments before its picture")


def _length(encoded: bytes, body: int) -> int:
    length: int = fields(encoded, body, ">H", _NAME)[0]
    if length < 2:  # noqa: PLR2004 - the length counts its own two bytes
        raise broken(_NAME, "a segment is shorter than its own length")
    if body + length > len(encoded):
        raise truncated(encoded, _NAME)
    return length
