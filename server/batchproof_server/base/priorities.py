"""What is more urgent than what."""

from typing import Final, Literal, TypeAlias

Priority: TypeAlias = Literal["critical", "default", "best_effort"]
PRIORITIES: Final[tuple[Priority, ...]] = ("critical", "default", "best_effort")
"""From the most urgent to the least."""


def is_above(one: Priority, other: Priority) -> bool:
    """Whether ``one`` is more urgent than ``other``."""
    return PRIORITIES.index(one) < PRIORITIES.index(other)
