"""The head of an HTTP/1 request, and an answer as bytes."""

import http.client
import io
from http import HTTPStatus
from typing import Final, NamedTuple

from batchproof_server.web.pages import METHODS, HttpResponse, sentence

_VERSIONS: Final = ("HTTP/1.0", "HTTP/1.1")
_WORDS: Final = 3


class Asked(NamedTuple):
    """What a head asks for.

    Attributes:
        accept: its header of that name; empty without.
    """

    method: str
    target: str
    accept: str


def is_whole(head: bytes) -> bool:
    """Whether the empty line that ends a head has come."""
    return b"\r\n\r\n" in head or b"\n\n" in head


def read_head(head: bytes) -> Asked | HttpResponse:
    """What a whole head asks for, or how it is refused."""
    stream = io.BytesIO(head)
    words = stream.readline().decode("latin-1").split()
    if len(words) != _WORDS:
        return _refusal(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    if version not in _VERSIONS:
        return _refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    try:
        headers = http.client.parse_headers(stream)
    except http.client.HTTPException:
        return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return Asked(method, target, headers.get("Accept", ""))


def written(answer: HttpResponse, method: str) -> bytes:
    """The bytes of an answer after which the connection is closed."""
    status = answer.status
    lines = [
        f"HTTP/1.1 {status} {status.phrase}",
        "Server: batchproof",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(METHODS)}")
    head = "\r\n".join((*lines, "", "")).encode("latin-1")
    return head if method == "HEAD" else head + answer.body


def _refusal(status: HTTPStatus) -> HttpResponse:
    return sentence(status, status.phrase.lower())
