"""Memory that two processes share: one region without a name, which grows and never shrinks."""

import fcntl
import mmap
import os
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.devices.records import Slot

MOST_BYTES: Final = 1 << 32


# Contract: what the other process does cannot make reading it fail: the region is sealed against
# shrinking, and nobody maps more than MOST_BYTES of it. What stands in it is whatever the other
# process wrote, at any time; who must rely on it copies first. Arrays stay valid when it grows.
class Arena:
    """A region of shared memory.

    Args:
        descriptor: of the region; belongs to the arena from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._mapped_bytes = 0

    def reserve(self, size_bytes: int) -> None:
        """Makes the region at least so large.

        Raises:
            ValueError: that is more than MOST_BYTES.
        """
        _check_size(size_bytes)
        if os.fstat(self.descriptor).st_size < size_bytes:
            pages = -(-size_bytes // mmap.PAGESIZE)
            os.ftruncate(self.descriptor, pages * mmap.PAGESIZE)
        self._map_up_to(size_bytes)

    def array(self, slot: Slot) -> Array:
        """The tensor in a slot, in the memory of the region itself.

        Raises:
            ValueError: it lies outside the region.
        """
        self._map_up_to(slot.end)
        if self._map is None or not slot.size_bytes:
            return np.empty(slot.shape, slot.dtype)
        flat = np.frombuffer(self._map, np.uint8, slot.size_bytes, slot.start)
        return flat.view(slot.dtype).reshape(slot.shape)

    def write(self, text: bytes) -> None:
        """Puts a text at the beginning."""
        self.reserve(len(text))
        if self._map is not None:
            self._map[: len(text)] = text

    def read(self, size_bytes: int) -> bytes:
        """A copy of the first bytes.

        Raises:
            ValueError: the region is not so large.
        """
        self._map_up_to(size_bytes)
        return b"" if self._map is None else self._map[:size_bytes]

    def give_back(self, from_byte: int) -> None:
        """Gives the memory from there on back to the system; it reads as zeros from now on."""
        start = -(-from_byte // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._map is not None and start < self._mapped_bytes:
            self._map.madvise(mmap.MADV_REMOVE, start, self._mapped_bytes - start)

    def close(self) -> None:
        """Gives the region up; arrays that are still used keep their memory."""
        self._map, self._mapped_bytes = None, 0
        os.close(self.descriptor)
        self.descriptor = -1  # the number is somebody else's soon

    def _map_up_to(self, size_bytes: int) -> None:
        if size_bytes <= self._mapped_bytes:
            return
        _check_size(size_bytes)
        there_bytes = os.fstat(self.descriptor).st_size
        if there_bytes < size_bytes:
            raise ValueError(f"the region has {there_bytes} bytes, expected {size_bytes}")
        # Arrays that lie in the old one keep it.
        self._map = mmap.mmap(self.descriptor, min(there_bytes, MOST_BYTES))
        self._mapped_bytes = len(self._map)


def make_arena() -> Arena:
    """A region of its own, empty."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    descriptor = os.memfd_create("batchproof-device", flags)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return Arena(descriptor)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise ValueError(f"{size_bytes} bytes, expected at most {MOST_BYTES}")
