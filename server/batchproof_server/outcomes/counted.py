"""The rows that were counted, so that none counts twice. Pure."""

from collections import deque
from typing import Final

_ROW_BYTES: Final = 192  # what Python keeps for a key, its place in the order, and in the set


# Contract: never takes more than its bytes. Beyond them the rows that were counted longest ago are
# forgotten, and one of them would count again.
class CountedRows:
    """The keys of counted rows.

    Args:
        max_bytes: of all of them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_rows = max_bytes // _ROW_BYTES
        self._keys: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes) -> None:
        """A row that is not among them has been counted."""
        if self._max_rows == 0:
            return
        if len(self._keys) == self._max_rows:
            self._keys.discard(self._order.popleft())
        self._keys.add(key)
        self._order.append(key)
