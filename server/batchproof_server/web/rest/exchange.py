"""One request over HTTP and its answer, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from batchproof_server.web.rest.json_text import write_json

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class RestHead:
    """What is known of a request before its body is read.

    Attributes:
        target: path and query as the caller wrote them.
        headers: by their names in small letters; those that came twice are joined by commas.
        peer: the caller's address.
        body_bytes: what the caller says that the body has; 0 where it does not say.
        subjects: of the client's certificate, which was verified; see ``CallerSettings``.
    """

    method: str
    target: str
    headers: Headers
    peer: str
    body_bytes: int = 0
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RestAnswer:
    """An answer.

    Attributes:
        headers: beside those that every answer has; names in small letters.
    """

    status: HTTPStatus
    body: bytes
    headers: Headers


def refusal(status: HTTPStatus, sentence: str, **headers: str) -> RestAnswer:
    """An error, in the form that clients of every protocol read.

    Args:
        status: of HTTP.
        sentence: what came, what was expected, and the way out.
        headers: names with ``_`` for ``-``.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RestAnswer(status, write_json({"error": sentence}), {"content-type": JSON, **named})


def answer_bytes(answer: RestAnswer, *, has_body: bool, keeps_alive: bool) -> bytes:
    """The bytes of an answer.

    Args:
        answer: to write.
        has_body: False for the answer to HEAD, which says how long the body would be.
        keeps_alive: whether the connection takes another request.
    """
    status = answer.status
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {_in_line(value)}" for name, value in answer.headers.items()]
    if status is not HTTPStatus.NO_CONTENT:
        lines.append(f"content-length: {len(answer.body)}")
    lines += ["server: batchproof", "cache-control: no-store"]
    if not keeps_alive:
        lines.append("connection: close")
    head = "\r\n".join((*lines, "", "")).encode("latin-1", "replace")
    return head + answer.body if has_body else head


def _in_line(value: str) -> str:
    """The value of a header on one line, whatever it holds."""
    return value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)
