"""What several priorities share: the rows that are executed, and the room of a queue. Pure."""

from collections.abc import Hashable, Mapping
from typing import Final, NamedTuple

from batchproof_server.base.priorities import PRIORITIES, Priority

WEIGHTS: Final[Mapping[Priority, int]] = {"critical": 64, "default": 8, "best_effort": 1}
"""Of each priority: its part of the rows while all of them wait, against the other weights."""
_ALL_WEIGHTS: Final = sum(WEIGHTS.values())


class WithPriority(NamedTuple):
    """A caller whose tasks have another priority than the default.

    Attributes:
        peer: of its connection.
        priority: of what it asks for now.
    """

    peer: Hashable
    priority: Priority


def priority_of(caller: Hashable) -> Priority:
    """The priority of what a caller asks for."""
    return caller.priority if isinstance(caller, WithPriority) else "default"


def with_priority(peer: Hashable, priority: Priority | None) -> Hashable:
    """The caller as queues know it; None is the default priority."""
    return peer if priority in {None, "default"} else WithPriority(peer, priority)


def below(priority: Priority) -> tuple[Priority, ...]:
    """The less urgent priorities, the least urgent first."""
    return PRIORITIES[: PRIORITIES.index(priority) : -1]


def above(priority: Priority) -> tuple[Priority, ...]:
    """The more urgent priorities, the least urgent of them first."""
    return PRIORITIES[: PRIORITIES.index(priority)][::-1]


def kept_rows(priority: Priority, room_rows: int) -> int:
    """How many waiting rows of a priority never give way to another priority.

    Args:
        priority: of the rows.
        room_rows: of the queue.
    """
    return room_rows * WEIGHTS[priority] // _ALL_WEIGHTS


# Contract
#
# Order       Start-time fair queueing over rows (Goyal, Vin and Cheng, 1996) with these weights.
#             The next task of a priority starts, on the clock of all, so much after the one before
#             it as that has rows, divided by the weight; but never before now, which is the start
#             of the task that was taken last. Whose start is the earliest is next; of several the
#             most urgent.
# Fairness    Of two priorities that wait throughout, the rows that each was given, divided by its
#             weight, differ by no more than their two largest tasks, divided likewise.
# Newcomers   A priority that begins to wait starts now: it has no credit from before. So what is
#             most urgent, and had less than its share of late, is next.
class PriorityClock:
    """Knows which priority is next."""

    def __init__(self) -> None:
        self._now = 0
        self._starts: dict[Priority, int] = {}

    def start(self, priority: Priority, rows: int = 0) -> int:
        """When the next task of a priority starts, once further ``rows`` of it are taken."""
        return max(self._starts.get(priority, 0), self._now) + rows * _ticks_of_row(priority)

    def rows_before(self, priority: Priority, instant: int) -> int:
        """How many rows of a priority start before then, where so many wait."""
        return -(-max(0, instant - self.start(priority)) // _ticks_of_row(priority))

    def take(self, priority: Priority, rows: int) -> None:
        """Rows of a priority are executed."""
        self._now = self.start(priority)
        self._starts[priority] = self.start(priority, rows)

    def reset(self) -> None:
        """Nobody owes anything to anybody."""
        self._now = 0
        self._starts.clear()


def _ticks_of_row(priority: Priority) -> int:
    return WEIGHTS["critical"] // WEIGHTS[priority]
