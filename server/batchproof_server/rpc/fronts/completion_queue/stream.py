"""The messages of one stream, whose events come in lists."""

import asyncio
from collections.abc import Callable
from typing import Any

from batchproof_server.rpc.fronts.completion_queue.arrived import MESSAGE, WRITTEN
from batchproof_server.rpc.fronts.completion_queue.private_api import (
    CoreCall,
    receive_message,
    send_message,
)
from batchproof_server.rpc.fronts.front import CallEnded


# Contract
#
# The core takes one read and one write at a time, and what was begun cannot be taken back. So a
# read that was cancelled goes on, and its message is what the next read returns. Lives on the loop
# thread.
class StreamMessages:
    """The messages of one stream.

    Args:
        call: of the C core.
        call_id: of the call.
        ask_to_read: begins the next read, now or when there is room.
        answered: told when a message has been written.
    """

    def __init__(
        self,
        call: CoreCall,
        call_id: int,
        ask_to_read: Callable[[], object],
        answered: Callable[[], None],
    ) -> None:
        self._call = call
        self._id = call_id
        self._ask_to_read = ask_to_read
        self._answered = answered
        self._read: asyncio.Future[bytes | None] | None = None
        self._write: asyncio.Future[None] | None = None
        self._is_over = False
        self.is_begun = False

    async def read(self) -> bytes | None:
        """The caller's next message; None when there will be no more.

        Raises:
            CallEnded: the call is over.
        """
        self._check()
        if self._read is None:
            self._read = asyncio.get_running_loop().create_future()
            self._ask_to_read()
        coming = self._read
        content = await asyncio.shield(coming)
        self._read = None
        return content

    async def write(self, content: bytes) -> None:
        """Sends one message; returns when there is room for the next one.

        Raises:
            CallEnded: the call is over.
        """
        if self._write is not None:  # one whose writer was cancelled
            await asyncio.shield(self._write)
        self._check()
        going = asyncio.get_running_loop().create_future()
        operations = send_message(content, is_first=not self.is_begun)
        if self._call.start_server_batch(operations, (WRITTEN, self._id)):
            raise CallEnded
        self._write, self.is_begun = going, True
        self._answered()
        await asyncio.shield(going)

    def begin_read(self) -> None:
        """There is room for the message that ``read`` waits for."""
        if self._call.start_server_batch((receive_message(),), (MESSAGE, self._id)):
            self.end()

    def take(self, content: bytes | None) -> None:
        """A message was read; None when there are no more."""
        if self._read is not None and not self._read.done():
            self._read.set_result(content)

    def written(self, *, is_sent: bool) -> None:
        """A message was written, or the call ended before."""
        going, self._write = self._write, None
        if going is not None and not going.done():
            if is_sent:
                going.set_result(None)
            else:
                _fail(going)

    def end(self) -> None:
        """The call is over: whoever reads or writes is told."""
        self._is_over = True
        for waited in (self._read, self._write):
            if waited is not None and not waited.done():
                _fail(waited)

    def _check(self) -> None:
        if self._is_over:
            raise CallEnded


def _fail(future: "asyncio.Future[Any]") -> None:
    future.set_exception(CallEnded())
    future.exception()  # whoever waited may be gone
