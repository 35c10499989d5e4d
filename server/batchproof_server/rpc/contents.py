"""Large contents stay in the bytes of a message: whoever parses it would copy them twice."""

from typing import Final

from batchproof.wire import varint

# In bytes: from here on two copies cost more than cutting does.
LARGE_BYTES: Final = 1 << 16
TOKEN_BYTES: Final = 16
_NUMBER_BYTES: Final = 4
_TICKET_BYTES: Final = TOKEN_BYTES + _NUMBER_BYTES


# Contract
#
# A ticket stands in the message for content that was left out of it. It begins with a token that
# nobody outside knows, so no caller can write one: what a field holds is either its own content or
# the ticket of the content that came there. Nothing but the value of that field differs, so the
# message means what it meant, whatever the parser does with a field that comes twice.
class Contents:
    """The large contents of one message.

    Args:
        token: begins every ticket.
    """

    __slots__ = ("_token", "_views")

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._views: list[memoryview] = []

    def leave(self, content: memoryview) -> bytes:
        """The ticket of content that stays where it is; nobody may change it from now on."""
        self._views.append(content)
        return self._token + (len(self._views) - 1).to_bytes(_NUMBER_BYTES)

    def of(self, field: bytes) -> bytes | memoryview:
        """What came in a field that the message holds, not copied where it is large."""
        if not self._views or len(field) != _TICKET_BYTES or not field.startswith(self._token):
            return field
        return self._views[int.from_bytes(field[TOKEN_BYTES:])]


NO_CONTENTS: Final = Contents(b"")


class Cuts:
    """Takes large contents out of a message, while somebody reads where they are.

    Args:
        message: its bytes.
        token: begins every ticket.
    """

    def __init__(self, message: bytes, token: bytes) -> None:
        self._message = message
        self._contents = Contents(token)
        # From where to where, and what stands there instead.
        self._cuts: list[tuple[int, int, bytes]] = []

    def take(self, size_at: int, at: int, stop: int) -> int:
        """Leaves a ticket for the content between two places.

        Args:
            size_at: where its size stands.
            at: where it begins.
            stop: where it ends.

        Returns:
            By how many bytes the message is shorter.
        """
        ticket = self._contents.leave(memoryview(self._message)[at:stop])
        return self._replace(size_at, stop, varint(len(ticket)) + ticket)

    def shorten(self, size_at: int, at: int, size_bytes: int) -> int:
        """Writes how long a part is of which contents were taken; returns as ``take`` does."""
        return self._replace(size_at, at, varint(size_bytes))

    def _replace(self, start: int, stop: int, by: bytes) -> int:
        self._cuts.append((start, stop, by))
        return stop - start - len(by)

    def parted(self) -> tuple[bytes, Contents]:
        """The message without the contents, and these."""
        if not self._cuts:
            return self._message, NO_CONTENTS
        pieces: list[bytes | memoryview] = []
        at, left = 0, memoryview(self._message)
        for start, stop, by in sorted(self._cuts):
            pieces += (left[at:start], by)
            at = stop
        pieces.append(left[at:])
        return b"".join(pieces), self._contents
