"""Handles of answered rows as text: base64url without padding (RFC 4648, section 5)."""

import base64
import binascii


class HandleError(ValueError):
    """A text is not that of a handle."""


def handle_to_text(handle: bytes) -> str:
    """The text of a handle; empty for none."""
    return base64.urlsafe_b64encode(handle).rstrip(b"=").decode("ascii")


# Contract: a handle has one text, so whoever compares texts compares handles.
def handle_from_text(text: str) -> bytes:
    """The handle that a text is of.

    Raises:
        HandleError: it is none, or not the text that ``handle_to_text`` writes.
    """
    try:
        handle = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error) as fault:
        raise HandleError(_EXPECTED) from fault
    if not handle or handle_to_text(handle) != text:
        raise HandleError(_EXPECTED)
    return handle


_EXPECTED = "the handle cannot be read, expected the text that its answer came with, whole"
