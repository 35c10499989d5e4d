"""The client's side of HTTP/2, as far as many calls of one message each need it.

It costs its core a tenth of what a gRPC client does, which beside a server of some thousand calls a
second would be measured and not the server. A call is written with all others that are due, and an
answer read with all others that came.
"""

import select
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from closed_loop import METHOD
from support.raw_http2 import PREFACE, frame, headers_frame

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK = 1, 1
_HEADER_TABLE_SIZE, _MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE = 1, 3, 4
_CANCEL: Final = (8).to_bytes(4, "big")
_HEAD_BYTES: Final = 9
_SETTING_BYTES: Final = 6
_WINDOW_BYTES: Final = 65_535
_MOST_WINDOW_BYTES: Final = (1 << 31) - 1
_FRAME_BYTES: Final = 16_384
_READ_BYTES: Final = 1 << 18
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
_OTHER: Final = "CANCELLED"


# Contract: headers go at once, a message as the server's windows let it. The server is told to
# index no header, so that a status is found in its text, and to send as much as it likes.
class RawConnection:
    """Calls of Predict on one connection.

    Args:
        address: ``HOST:PORT``.

    Attributes:
        most_streams: that may be open; the server says how many.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(0)
        no_table = _HEADER_TABLE_SIZE.to_bytes(2, "big") + bytes(4)
        wider = (_MOST_WINDOW_BYTES - _WINDOW_BYTES).to_bytes(4, "big")
        settings = frame(_SETTINGS, 0, 0, no_table)
        self._out = bytearray(PREFACE + settings + frame(_WINDOW_UPDATE, 0, 0, wider))
        self._in = bytearray()
        self._window_bytes = self._first_window_bytes = _WINDOW_BYTES
        self._windows_bytes: dict[int, int] = {}
        self._unsent: dict[int, memoryview] = {}
        self.most_streams = 100

    def close(self) -> None:
        """Leaves."""
        self._socket.close()

    def begin(self, stream: int, timeout_s: float, content: bytes) -> None:
        """Begins a call, which is written by ``write``."""
        timeout = ("grpc-timeout", f"{max(1, round(timeout_s * 1e3))}m")
        self._out += headers_frame(METHOD, stream, (timeout,))
        self._unsent[stream] = memoryview(content)
        self._windows_bytes[stream] = self._first_window_bytes

    def cancel(self, stream: int) -> None:
        """Gives a call up."""
        self._forget(stream)
        self._out += frame(_RST_STREAM, 0, stream, _CANCEL)

    def write(self) -> None:
        """Writes as much as the windows and the kernel take."""
        for stream in list(self._unsent):
            if self._window_bytes <= 0:
                break
            self._put(stream)
        if self._out:
            try:
                del self._out[: self._socket.send(self._out)]
            except BlockingIOError:
                return

    def fileno(self) -> int:
        """Of its socket."""
        return self._socket.fileno()

    @property
    def is_writing(self) -> bool:
        """Whether the kernel did not take all."""
        return bool(self._out)

    def read(self) -> Iterator[tuple[int, str]]:
        """The calls that ended, each with the name of its code.

        Raises:
            ConnectionError: the server has left, or leaves.
        """
        try:
            came = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not came:
            raise ConnectionError("the server closed the connection")
        self._in += came
        content, at = bytes(self._in), 0
        while len(content) - at >= _HEAD_BYTES:
            end = at + _HEAD_BYTES + int.from_bytes(content[at : at + 3], "big")
            if end > len(content):
                break
            stream = int.from_bytes(content[at + 5 : at + _HEAD_BYTES], "big")
            code = self._take(content[at + 3], content[at + 4], stream, content, at, end)
            if code:
                self._forget(stream)
                yield stream, code
            at = end
        del self._in[:at]

    def _take(self, kind: int, flags: int, stream: int, content: bytes, at: int, end: int) -> str:
        """One frame; the code of a call that ended with it, else nothing."""
        if kind == _HEADERS and flags & _END_STREAM:
            return _code(content[at + _HEAD_BYTES : end])
        if kind == _RST_STREAM:
            return _OTHER
        if kind not in {_DATA, _HEADERS}:
            self._control(kind, flags, stream, content[at + _HEAD_BYTES : end])
        return ""

    def _put(self, stream: int) -> None:
        rest = self._unsent[stream]
        while rest:
            room_bytes = min(_FRAME_BYTES, self._window_bytes, self._windows_bytes[stream])
            if room_bytes <= 0:
                break
            part, rest = rest[:room_bytes], rest[room_bytes:]
            self._out += frame(_DATA, 0 if rest else _END_STREAM, stream, bytes(part))
            self._window_bytes -= len(part)
            self._windows_bytes[stream] -= len(part)
        if rest:
            self._unsent[stream] = rest
        else:
            del self._unsent[stream]

    def _forget(self, stream: int) -> None:
        self._unsent.pop(stream, None)
        self._windows_bytes.pop(stream, None)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _GOAWAY:
            raise ConnectionError(f"the server leaves: {payload[8:]!r}")
        if kind == _WINDOW_UPDATE:
            more_bytes = int.from_bytes(payload, "big")
            if not stream:
                self._window_bytes += more_bytes
            elif stream in self._windows_bytes:
                self._windows_bytes[stream] += more_bytes
        if kind == _PING and not flags & _ACK:
            self._out += frame(_PING, _ACK, 0, payload)
        if kind == _SETTINGS and not flags & _ACK:
            self._settle(payload)
            self._out += frame(_SETTINGS, _ACK, 0)

    def _settle(self, payload: bytes) -> None:
        for at in range(0, len(payload), _SETTING_BYTES):
            name = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + _SETTING_BYTES], "big")
            if name == _MAX_CONCURRENT_STREAMS:
                self.most_streams = value
            if name == _INITIAL_WINDOW_SIZE:
                more_bytes = value - self._first_window_bytes
                self._first_window_bytes = value
                for stream in self._windows_bytes:
                    self._windows_bytes[stream] += more_bytes


def wait(connections: Sequence[RawConnection], most_s: float) -> None:
    """Until something came, or more can be written."""
    writing = [each for each in connections if each.is_writing]
    select.select(connections, writing, [], most_s)


def prefixed(message: bytes) -> bytes:
    """What goes over the wire for a message that is not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _code(block: bytes) -> str:
    _, found, rest = block.partition(b"grpc-status")
    if not found:
        raise ConnectionError(f"headers without a status: {block!r}")
    return _CODES[int(rest[1 : 1 + rest[0]])]
