"""What one turn of the loop leaves to be done, once for all of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Value = TypeVar("Value")


# Contract: each value is handed over once, in the order of their coming, one or more in a list, at
# the end of the next turn: answers that are ready together are sent in that turn, and nobody waits
# for what is done with the values. Lives on the loop thread.
class EndOfTurn(Generic[Value]):
    """Collects the values of a turn.

    Args:
        take: called with them; must be quick.
    """

    def __init__(self, take: Callable[[Sequence[Value]], None]) -> None:
        self._take = take
        self._values: list[Value] = []

    def add(self, value: Value) -> None:
        """Hands a value over together with those of its turn."""
        if not self._values:
            # A timer that is due comes behind all that this turn has made ready.
            asyncio.get_running_loop().call_later(0, self._hand_over)
        self._values.append(value)

    def add_now(self, value: Value) -> None:
        """Hands a value over at once, behind those that wait."""
        self._values.append(value)
        self._hand_over()

    def _hand_over(self) -> None:
        values, self._values = self._values, []
        if values:
            self._take(values)
