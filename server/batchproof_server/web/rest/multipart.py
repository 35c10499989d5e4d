"""Forms (``multipart/form-data``, RFC 7578) whose bytes are all there."""

import re
from collections.abc import Iterator
from email.message import Message
from itertools import islice
from typing import Final, NamedTuple

from batchproof_server.base.errors import InvalidInput

_MOST_HEAD_BYTES: Final = 4_096
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")


class Part(NamedTuple):
    """One field of a form.

    Attributes:
        is_file: whether it has a file's name, or is said to be no text.
    """

    name: str
    content: bytes
    is_file: bool


def boundary_of(content_type: str) -> bytes | None:
    """What stands between the parts of a form; None for what is no form.

    Raises:
        InvalidInput: it is a form without a boundary.
    """
    if not content_type.lower().strip().startswith("multipart/"):
        return None
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise InvalidInput("the Content-Type is a form without a boundary")
    return boundary.encode("ascii")


def read_parts(body: bytes, boundary: bytes, most: int) -> list[Part]:
    """The parts of a form.

    Args:
        body: all of it.
        boundary: between the parts.
        most: parts.

    Raises:
        InvalidInput: the form is broken, or has more parts.
    """
    between = b"\r\n--" + boundary
    # The first one has no line before it.
    begins = [len(between) - 2] if body.startswith(between[2:]) else []
    ends: list[int] = []
    for at in islice(_places(body, between), most + 2):
        ends.append(at)
        begins.append(at + len(between))
    if len(begins) > most + 1:
        raise InvalidInput(f"the form has more than {most} parts, expected {most} at most")
    if not begins or not body.startswith(b"--", begins[-1]):
        raise InvalidInput("the form has no end, expected its boundary and two hyphens")
    ends = ends[len(ends) - len(begins) + 1 :]
    return [_part(body[begin:end]) for begin, end in zip(begins, ends, strict=False)]


def _places(body: bytes, wanted: bytes) -> Iterator[int]:
    """Where something begins; searched in windows, between which other threads have their turn."""
    for window in range(0, len(body), _WINDOW_BYTES):
        at, end = window, window + _WINDOW_BYTES + len(wanted) - 1
        while (found := body.find(wanted, at, end)) >= 0:
            yield found
            at = found + len(wanted)


_WINDOW_BYTES: Final = 1 << 20


def _part(piece: bytes) -> Part:
    line_end = piece.find(b"\r\n")
    head_end = piece.find(b"\r\n\r\n", line_end, line_end + _MOST_HEAD_BYTES)
    if line_end < 0 or piece[:line_end].strip() or head_end < 0:
        raise InvalidInput("a part of the form has no headers, or too long ones")
    headers = _headers(piece[line_end:head_end])
    name = headers.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise InvalidInput("a part of the form has no name, expected Content-Disposition with one")
    kind = headers.get_content_type()
    is_file = headers.get_filename() is not None or not kind.startswith("text/")
    return Part(name, piece[head_end + 4 :], is_file)


def _headers(text: bytes) -> Message:
    message = Message()
    for line in text.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() in ("content-disposition", "content-type"):
            message[name.strip()] = value.strip()
    return message
