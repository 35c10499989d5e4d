"""What a caller may have in the place of an encoded picture, as its bytes.

Paths, bytes, open files and Pillow's images. Pillow itself is not imported: whoever has an image of
it has it imported already.
"""

import io
import os
import re
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from batchproof_client.errors import LocalInputError


@runtime_checkable
class BinaryFile(Protocol):
    """An open file: of the system, ``io.BytesIO``, the body of a web request."""

    def read(self) -> bytes:
        """All that is left of it."""
        ...


@runtime_checkable
class PillowImage(Protocol):
    """An image of Pillow; sent as PNG, which keeps every pixel, with its EXIF orientation."""

    mode: str

    def getexif(self) -> Any:
        """Its EXIF data."""
        ...

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:  # noqa: A002 - Pillow's name
        """Writes it."""
        ...


EncodedImage: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | PillowImage
)
ENCODED: Final = (str, os.PathLike, bytes, bytearray, memoryview, BinaryFile, PillowImage)
# Reading these may take a while.
BLOCKING: Final = (str, os.PathLike, BinaryFile, PillowImage)

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{200,}[A-Za-z0-9+/_=\s-]*")


def content_of(image: object) -> bytes:
    """The bytes of one picture.

    Raises:
        LocalInputError: it is nothing of the kind, or cannot be read, or is empty.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str):
        _check_is_path(image)
        return _file(Path(image))
    if isinstance(image, os.PathLike):
        return _file(Path(image))
    if isinstance(image, PillowImage):
        return _png(image)
    if isinstance(image, BinaryFile):
        return _read(image)
    raise LocalInputError(
        f"an element of the list is {type(image).__name__}, expected a path, bytes, an open file"
        " or a Pillow image like the first"
    )


def _check_is_path(text: str) -> None:
    if text.startswith("data:"):
        raise LocalInputError(
            "the picture is a data URI, expected a path or bytes: send"
            ' base64.b64decode(text.partition(",")[2])'
        )
    if _URL.match(text):
        raise LocalInputError(
            f"{text[:80]} is a URL, expected a path or bytes: the client fetches nothing;"
            " send the bytes that it answers with"
        )
    if _BASE64.fullmatch(text):
        raise LocalInputError(
            f'"{text[:16]}..." is no path: these are base64 characters; send the bytes,'
            " base64.b64decode(text)"
        )


def _file(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else None
        raise LocalInputError(f"{path}: cannot be read: {reason or failure}") from failure
    if not content:
        raise LocalInputError(f"{path}: the file is empty")
    return content


def _read(file: BinaryFile) -> bytes:
    try:
        content: object = file.read()
    except (OSError, ValueError) as failure:  # closed, or not open for reading
        raise LocalInputError(f"the open file cannot be read: {failure}") from failure
    if not isinstance(content, bytes | bytearray):
        raise LocalInputError(
            f'the open file gives {type(content).__name__}, expected bytes: open it with mode "rb"'
        )
    if not content:
        raise LocalInputError("the open file has nothing left to read: seek(0) begins it again")
    return bytes(content)


def _png(image: PillowImage) -> bytes:
    stream = io.BytesIO()
    try:
        image.save(stream, format="PNG", exif=image.getexif())
    except (OSError, ValueError) as failure:
        raise LocalInputError(
            f"the Pillow image of mode {image.mode} cannot be sent as PNG ({failure}):"
            ' send image.convert("RGB"), or the file'
        ) from failure
    return stream.getvalue()
