"""A caller that speaks HTTP/2 frame by frame, to say what no gRPC client says."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from support.patience import PATIENCE_S

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_STREAM: Final = 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of RFC 9113, section 4.1."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream.to_bytes(4, "big") + payload


def _literal(name: str, value: str) -> bytes:
    """One header without an index, shorter than 127 bytes."""
    texts = (name.encode(), value.encode())
    return b"\0" + b"".join(bytes((len(text),)) + text for text in texts)


def settings_frame() -> bytes:
    """What a client says first: that it has nothing to set."""
    return frame(_SETTINGS, 0, 0)


def headers_frame(method: str, stream: int, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The headers of a call, on a stream with an odd number."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "here"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *headers,
    )
    block = b"".join(_literal(*field) for field in fields)
    return frame(_HEADERS, _END_HEADERS, stream, block)


class RawCall:
    """One call on a connection of its own.

    Args:
        reader: of the connection.
        writer: of the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def begin(self, method: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Sends the headers of a call."""
        self._writer.write(PREFACE + settings_frame() + headers_frame(method, _STREAM, headers))
        await self._writer.drain()

    async def send(self, content: bytes, *, announced_bytes: int, is_last: bool) -> None:
        """Sends a message, or a part of it.

        Args:
            content: what is sent.
            announced_bytes: what its prefix says.
            is_last: whether the caller has said all.
        """
        payload = b"\0" + announced_bytes.to_bytes(4, "big") + content
        self._writer.write(frame(_DATA, _END_STREAM if is_last else 0, _STREAM, payload))
        await self._writer.drain()

    async def finish(self) -> None:
        """Says all without a message."""
        self._writer.write(frame(_DATA, _END_STREAM, _STREAM))
        await self._writer.drain()

    async def status(self) -> int:
        """The gRPC code that the call ends with; the server writes its headers as plain text."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == _SETTINGS and not head[4] & _ACK:
                    self._writer.write(frame(_SETTINGS, _ACK, 0))
                if head[3] == _HEADERS and head[4] & _END_STREAM:
                    _, _, rest = payload.partition(b"grpc-status")
                    return int(rest[1 : 1 + rest[0]])
                assert head[3] not in {_RST_STREAM, _GOAWAY}


@asynccontextmanager
async def raw_call(address: str) -> AsyncIterator[RawCall]:
    """A connection for one call."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield RawCall(reader, writer)
    finally:
        writer.close()
