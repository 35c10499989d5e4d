"""Parses what is large on another thread, so that others are answered in between."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

# A message of this size is parsed in half a millisecond where its memory is new.
QUICK_BYTES: Final = 1 << 20
# One of this size is copied, parsed and read in 8 ms or more each.
_LONG_BYTES: Final = 16 << 20
_PAUSE_S: Final = 0.005


# Contract
#
# protobuf holds the lock of the interpreter while it parses, so a thread does not make it quicker.
# But what would follow each other in one turn of the loop (taking a message over, parsing it,
# reading its tensors) is divided: after each of them whoever waits is answered. A call of another
# needs the lock several times on its way, so a long step does not begin at once behind another one.
# One message is parsed at a time, so that nobody waits for several. A parse that was given up goes
# on.
class LargeMessages:
    """Parses one message after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def parse(self, parse: Callable[[bytes], Any], content: bytes) -> Any:
        """What ``parse`` makes of the bytes, or raises."""
        async with self._turn:
            if len(content) <= _LONG_BYTES:
                return await asyncio.to_thread(parse, content)
            await asyncio.sleep(_PAUSE_S)
            message = await asyncio.to_thread(parse, content)
            await asyncio.sleep(_PAUSE_S)
            return message
