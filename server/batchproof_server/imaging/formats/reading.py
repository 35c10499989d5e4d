"""Reading fixed fields from untrusted bytes."""

import struct
from typing import Any

from batchproof_server.base.errors import InvalidInput


def fields(encoded: bytes, start: int, layout: str, name: str) -> tuple[Any, ...]:
    """Unpacks the ``struct`` layout at ``start``.

    Raises:
        InvalidInput: the file of format ``name`` ends before.
    """
    try:
        return struct.unpack_from(layout, encoded, start)
    except struct.error:
        raise truncated(encoded, name) from None


def truncated(encoded: bytes, name: str) -> InvalidInput:
    """The error for a file that ends before its picture begins."""
    return InvalidInput(f"the {name} file ends inside its header, after {len(encoded)} bytes")


def broken(name: str, what: str) -> InvalidInput:
    """The error for a header that says what cannot be."""
    return InvalidInput(f"the {name} file is corrupt: {what}")
