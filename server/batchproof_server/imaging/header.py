"""What a file says of itself, read and judged before anything is decoded."""

import re
from typing import Final

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.unguarded import unguarded
from batchproof_server.imaging.formats.table import FORMAT_BY_FIRST_BYTE, FORMATS
from batchproof_server.imaging.limits import ImageLimits

# Formats that people send by mistake, so that the error can name them.
_FOREIGN = {
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"%PDF": "pdf",
    b"<svg": "svg",
    b"<?xml": "xml",
    b"\xff\x0a": "jpeg xl",
    b"\0\0\0\x0cJXL ": "jpeg xl",
    b"\0\0\0\x0cjP  ": "jpeg 2000",
    b"8BPS": "psd",
    b"<!DOCTYPE": "html",
    b"<html": "html",
}
_MAX_SIDE_PIXELS = 65_535


@unguarded()
class ImageHeader:
    """The size of a picture as its file declares it.

    Attributes:
        format: ``jpeg``, ``png``, ``webp``, ``bmp`` or ``gif``.
        width: pixels, before any EXIF orientation.
        height: pixels, before any EXIF orientation.
    """

    format: str
    width: int
    height: int


def read_header(encoded: bytes, formats: tuple[str, ...], limits: ImageLimits) -> ImageHeader:
    """Reads the header and nothing else.

    Args:
        encoded: the file.
        formats: those that are accepted.
        limits: on bytes and pixels.

    Raises:
        InvalidInput: empty, too many bytes, unknown or not accepted format, truncated or corrupt
            header, too many pixels.
    """
    _check_bytes(encoded, formats, limits)
    name = _format(encoded, formats)
    width, height = FORMATS[name].size_pixels(encoded)
    _check_pixels(width, height, limits)
    return ImageHeader(name, width, height)


def _check_bytes(encoded: bytes, formats: tuple[str, ...], limits: ImageLimits) -> None:
    if not encoded:
        raise InvalidInput(f"the picture is empty, expected {_listed(formats)}")
    if len(encoded) > limits.max_image_bytes:
        raise InvalidInput(
            f"the picture has {len(encoded)} bytes, expected at most {limits.max_image_bytes}"
        )


def _format(encoded: bytes, formats: tuple[str, ...]) -> str:
    came = FORMAT_BY_FIRST_BYTE.get(encoded[0])
    if came is not None and not FORMATS[came].recognises(encoded):
        came = None
    if came in formats:
        return str(came)
    raise InvalidInput(f"the picture is {came or _foreign(encoded)}, expected {_listed(formats)}")


# So many characters of base64 and no other are no picture in any format.
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{48}")
_URL: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{1,9}://")


def _foreign(encoded: bytes) -> str:
    if encoded[4:8] == b"ftyp":
        return "heif, avif or a video"
    if encoded.startswith(b"data:"):
        return "a data URI (send the bytes that its base64 part stands for)"
    if _URL.match(encoded):
        return "the text of a URL (send the bytes that it leads to)"
    if _BASE64.match(encoded):
        return "base64 text (these are base64 characters: send the bytes that they stand for)"
    return next(
        (name for start, name in _FOREIGN.items() if encoded.startswith(start)),
        "of an unknown format",
    )


def _check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise InvalidInput(f"the picture is {width} x {height} pixels, expected 1 x 1 or more")
    if max(width, height) > _MAX_SIDE_PIXELS:
        raise InvalidInput(
            f"the picture is {width} x {height} pixels, expected sides of at most "
            f"{_MAX_SIDE_PIXELS}"
        )
    if width * height > limits.max_image_pixels:
        raise InvalidInput(
            f"the picture is {width} x {height} = {width * height} pixels, expected at most "
            f"{limits.max_image_pixels}"
        )


def _listed(formats: tuple[str, ...]) -> str:
    return " or ".join(formats)
