"""Memory that was freed, back to the operating system."""

import ctypes
from collections.abc import Callable
from functools import cache


def return_freed_memory() -> None:
    """Has the C library give back what it keeps of freed memory for later, in all its arenas.

    The arena of each thread keeps blocks of up to 32 MiB, so what several threads have freed adds
    up. Takes about a millisecond, without the lock of the interpreter. Does nothing where the C
    library is not glibc.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
