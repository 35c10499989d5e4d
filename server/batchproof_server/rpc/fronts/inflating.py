"""Decompresses messages: in slices, beside the loop, and never further than the limit."""

import asyncio
import zlib
from typing import Any, Final

from batchproof_server.rpc.fronts.front import Code, Status

# Done at once, in a millisecond; handing it to a thread would take as long.
_QUICK_BYTES: Final = 1 << 18
_SLICE_BYTES: Final = 1 << 20
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = b"\x78"
# What begins otherwise is not compressed, which a front finds out without a call.
BEGINNINGS: Final = (_GZIP[:1], _ZLIB)
_ZLIB_CHECKED_BY: Final = 31


class CannotInflate(Exception):
    """A message that is too large, or broken, once it is decompressed.

    Attributes:
        status: how its call ends.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status


# Neither beginning is one of a request: of gzip the first byte is a tag that protobuf does not
# have, and of zlib a number in field 15, which no request has (tests/wire/test_compressed.py).
def is_compressed(content: bytes) -> bool:
    """Whether these are the bytes of gzip or of zlib, which gRPC calls deflate."""
    if content[:2] == _GZIP:
        return True
    is_zlib = len(content) > 1 and content[:1] == _ZLIB
    return is_zlib and not int.from_bytes(content[:2], "big") % _ZLIB_CHECKED_BY


# Contract
#
# gRPC's core decompresses on the threads that read connections, so a message of 20 kB that becomes
# 60 MB keeps everybody waiting. Here the lock of the interpreter is free meanwhile, no more is made
# than the limit and one slice, and one message at a time is large: nobody has the memory of many.
class Inflater:
    """Decompresses.

    Args:
        max_bytes: of one message.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._turn = asyncio.Lock()

    async def inflate(self, content: bytes) -> bytes:
        """The message.

        Raises:
            CannotInflate: it is larger than the limit, or broken.
        """
        work = _Inflating(content, self._max_bytes)
        if not work.go_on(_QUICK_BYTES):
            async with self._turn:
                try:
                    await asyncio.to_thread(work.finish)
                except asyncio.CancelledError:
                    work.give_up()
                    raise
        return work.whole()


class _Inflating:
    """One message on its way."""

    def __init__(self, content: bytes, max_bytes: int) -> None:
        self._stream: Any = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._content = memoryview(content)
        self._given_bytes = 0
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_given_up = False

    def go_on(self, most_bytes: int) -> bool:
        """Makes so many bytes of it at most; whether that was all."""
        try:
            part = self._stream.decompress(self._stream.unconsumed_tail or self._next(), most_bytes)
        except zlib.error:
            raise CannotInflate(_BROKEN) from None
        self._parts.append(part)
        self._size_bytes += len(part)
        if self._size_bytes > self._max_bytes:
            text = f"the message has more than {self._max_bytes} bytes after decompression"
            raise CannotInflate(Status(Code.RESOURCE_EXHAUSTED, text))
        if self._stream.eof:
            if self._stream.unused_data or not self._is_given_all:
                raise CannotInflate(_BROKEN)
            return True
        if not part and not self._stream.unconsumed_tail and self._is_given_all:
            raise CannotInflate(_BROKEN)
        return False

    # zlib copies what it did not come to, each time: all that is left, if it were given all.
    def _next(self) -> memoryview:
        begins = self._given_bytes
        self._given_bytes += _QUICK_BYTES
        return self._content[begins : self._given_bytes]

    @property
    def _is_given_all(self) -> bool:
        return self._given_bytes >= len(self._content)

    def finish(self) -> None:
        """Makes all that is left, and puts it together: Python frees its lock for that too."""
        while not self._is_given_up and not self.go_on(_SLICE_BYTES):
            pass
        self._parts = [b"".join(self._parts)]

    def give_up(self) -> None:
        """Nobody wants it any more: whoever makes it stops after the slice at hand."""
        self._is_given_up = True

    def whole(self) -> bytes:
        """All of it, once that was made."""
        return b"".join(self._parts)


_BROKEN: Final = Status(Code.INVALID_ARGUMENT, "the message cannot be decompressed")
