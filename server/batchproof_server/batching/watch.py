"""Whether a model version can answer at all, and who is told. Time is an argument."""

from collections.abc import Callable
from typing import Final, TypeAlias

# Told why a version cannot answer from now on; told nothing ("") when it can again.
TellTrouble: TypeAlias = Callable[[str], None]

LOOK_AGAIN_S: Final = 1.0


# Contract: from enter on there is one reason; whoever listens is told once, and once when it ends.
# Meanwhile is_time_to_look says every LOOK_AGAIN_S to look whether it is over.
class Watch:
    """Remembers and tells whether a version can answer.

    Attributes:
        trouble: why the version cannot answer; empty while it can. Only to be read, as is the next.
        look_at_s: the next instant to look whether the trouble is over.
    """

    def __init__(self) -> None:
        self.trouble = ""
        self.look_at_s = 0.0
        self._tell: TellTrouble = _tell_nobody

    def listen(self, tell: TellTrouble) -> None:
        """Says who is told of trouble and of its end."""
        self._tell = tell

    def is_time_to_look(self, now_s: float) -> bool:
        """Whether to look if the trouble is over; the next time is later."""
        if not self.trouble or now_s < self.look_at_s:
            return False
        self.look_at_s = now_s + LOOK_AGAIN_S
        return True

    def look_now(self) -> None:
        """It is time to look: something happened that may have ended the trouble."""
        self.look_at_s = 0.0

    def enter(self, reason: str, now_s: float) -> None:
        """The version cannot answer from now on."""
        if not self.trouble:
            self.trouble = reason
            self.look_at_s = now_s + LOOK_AGAIN_S
            self._tell(reason)

    def leave(self) -> None:
        """The version can answer again."""
        self.trouble = ""
        self._tell("")


def _tell_nobody(reason: str) -> None:
    del reason
