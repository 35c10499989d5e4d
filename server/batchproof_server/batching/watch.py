"""Whether a model version can answer at all, and who is told. Time is an argument."""

import math
from collections.abc import Callable
from typing import Final, TypeAlias

# Told why a version cannot answer from now on; told nothing ("") when it can again.
TellTrouble: TypeAlias = Callable[[str], None]

LOOK_AGAIN_S: Final = 1.0


# Contract: from enter on there is one reason; whoever listens is told once, and once when it ends.
# Meanwhile is_time_to_look says every LOOK_AGAIN_S to look whether it is over.
class Watch:
    """Remembers and tells whether a version can answer.

    Args:
        limit_s: an execution that takes longer is given up.

    Attributes:
        trouble: why the version cannot answer; empty while it can. Only to be read, as is the next.
        look_at_s: the next instant to look whether the trouble is over.
        overdue_at_s: when the execution that began first is to be given up.
    """

    def __init__(self, limit_s: float = math.inf) -> None:
        self.trouble = ""
        self.look_at_s = 0.0
        self.overdue_at_s = math.inf
        self._limit_s = limit_s
        self._overdue_at_s: dict[int, float] = {}  # of each execution, in the order of beginning
        self._number = 0
        self._tell: TellTrouble = _tell_nobody

    def listen(self, tell: TellTrouble) -> None:
        """Says who is told of trouble and of its end."""
        self._tell = tell

    def begin(self, now_s: float) -> int:
        """An execution begins; the number that names it."""
        self._number += 1
        self._overdue_at_s[self._number] = now_s + self._limit_s
        self._look_at_first()
        return self._number

    def end(self, number: int) -> None:
        """An execution came back, given up or not."""
        self._overdue_at_s.pop(number, None)
        self._look_at_first()

    def overdue(self) -> str:
        """Why the execution that began first is given up now; it is not watched any more."""
        self.end(next(iter(self._overdue_at_s)))
        return f"an execution did not end within {self._limit_s:.3g} s"

    def or_overdue_at_s(self, at_s: float | None) -> float | None:
        """The instant, or that at which an execution is to be given up if it is earlier."""
        if self.overdue_at_s == math.inf:
            return at_s
        return self.overdue_at_s if at_s is None else min(at_s, self.overdue_at_s)

    def _look_at_first(self) -> None:
        self.overdue_at_s = next(iter(self._overdue_at_s.values()), math.inf)

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
