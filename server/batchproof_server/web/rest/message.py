"""One request as it comes in, piece by piece."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from batchproof_server.web.rest.exchange import RestAnswer, RestHead, refusal

# Around the pieces of a body that comes in chunks.
_CHUNKED_TIMES: Final = 2
_MOST_HEADERS: Final = 128


class IncomingRequest:
    """Collects one request, and says when it has become too much.

    Attributes:
        head: when all of it has come, else None.
        body: so far.
        most_body_bytes: that it may have.
        refused: how it is answered instead of being read to its end; None so far.
        keeps_alive: whether its connection takes another one.
        is_whole: whether the end of its body has come.
        wants_go_ahead: whether its caller waits to be told that it may send the body.
    """

    def __init__(self) -> None:
        self.head: RestHead | None = None
        self.body = bytearray()
        self.most_body_bytes = 0
        self.refused: RestAnswer | None = None
        self.keeps_alive = True
        self.is_whole = False
        self.wants_go_ahead = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._wire_bytes = 0

    def add_target(self, piece: bytes) -> None:
        """More of the path."""
        self._target += piece
        self._head_bytes += len(piece)

    def add_header(self, name: bytes, value: bytes) -> None:
        """One more; those behind the body count for nothing."""
        if self.head is None:
            self._headers.append((name, value))
            self._head_bytes += len(name) + len(value)

    def end_head(
        self, method: bytes, peer: str, max_bytes: int, subjects: tuple[str, ...] = ()
    ) -> RestHead | None:
        """The head, unless it is too large or contradicts itself."""
        if self._head_bytes > max_bytes or len(self._headers) > _MOST_HEADERS:
            self.refuse_head(max_bytes)
            return None
        headers = _joined(self._headers)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) <= _MOST_DIGITS):
            self.refused = refusal(HTTPStatus.BAD_REQUEST, "Content-Length is no number of bytes")
            return None
        target = self._target.decode("latin-1")
        verb = method.decode("latin-1")
        self.head = RestHead(verb, target, headers, peer, int(length), subjects)
        return self.head

    def refuse_head(self, max_bytes: int) -> None:
        """Its head is too large."""
        self.refused = refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the request line and the headers are too large, expected {max_bytes} bytes and "
            f"{_MOST_HEADERS} headers at most (web.max_head_bytes)",
        )

    def received(self, wire_bytes: int, max_head_bytes: int) -> None:
        """So many more bytes have come of it, whatever they are."""
        self._wire_bytes += wire_bytes
        if self.head is None:
            if self._wire_bytes > max_head_bytes:
                self.refuse_head(max_head_bytes)
        elif self._wire_bytes > _CHUNKED_TIMES * self.most_body_bytes + wire_bytes + max_head_bytes:
            self.refuse_body()

    def refuse_body(self) -> None:
        """Its body is too large."""
        self.refused = too_large(self.most_body_bytes)


_MOST_DIGITS: Final = 18


def too_large(max_bytes: int) -> RestAnswer:
    """The answer to a body that is too large."""
    return refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {max_bytes} bytes, expected {max_bytes} at most "
        "(rpc.max_message_bytes, and 1 MiB where it holds neither pictures nor tensors)",
    )


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers
