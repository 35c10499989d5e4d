"""Gives the memory of large messages back, once they are over."""

import asyncio
from typing import Final

from batchproof_server.base.freed_memory import return_freed_memory

LARGE_BYTES: Final = 1 << 24
# The frames that hold the message end after its call, and what follows at once is trimmed with it.
_SETTLED_S: Final = 0.1


# Contract
#
# A large message lies in memory up to three times: in the pieces that it came in, as it is put
# together, and as the bytes that are read. Whoever frees them, the C library keeps them, in the
# arena of each thread that took a part, and with every message in another one: of 20 MB that come
# again and again it keeps 80 and more. So it is asked to give back what it keeps, on a thread
# beside the loop, and once for all messages that end within a moment. Lives on the loop thread.
class Returning:
    """Asks the C library to give memory back."""

    def __init__(self) -> None:
        self._is_due = False

    def note(self) -> None:
        """A large message is over."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_SETTLED_S, self._return)

    def _return(self) -> None:
        self._is_due = False
        asyncio.get_running_loop().run_in_executor(None, return_freed_memory)
