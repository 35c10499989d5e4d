"""How long the tests wait. Every limit is here, so that none depends on the machine's speed.

A limit is reached only by a test that fails: it is there to end a wait in vain, and not to say how
quick anything is. What a test says about time it says with a clock of its own.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from types import CoroutineType
from typing import Any, Final

PATIENCE_S: Final = 240.0
"""How long a test waits for another thread, process or port before it fails."""

HOPELESS_S: Final = 0.05
"""A deadline that passes on every machine, because what it waits for never comes."""


def longer(first_s: float = HOPELESS_S) -> Iterator[float]:
    """Deadlines to try in turn, each twice as long as the one before.

    For a deadline that has to pass, but only when something has happened before: an idle machine
    needs the first one, and a busy one may have as much time as it needs.

    Raises:
        AssertionError: none was long enough.
    """
    timeout_s = first_s
    while timeout_s < PATIENCE_S:
        yield timeout_s
        timeout_s *= 2
    raise AssertionError(f"not even {timeout_s / 2} s were long enough")


def attempts() -> Iterator[int]:
    """Numbers of attempts at what may fail to come about because the test itself is too slow.

    Raises:
        AssertionError: it did not come about while there was patience.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    number = 0
    while time.monotonic() < give_up_s:
        yield number
        number += 1
    raise AssertionError(f"it did not come about in {number} attempts")


def where_tasks_wait() -> str:
    """The chains of calls that tasks of this loop wait in, and how many do."""
    chains = Counter(_chain(task.get_coro()) for task in asyncio.all_tasks())
    return "\n".join(f"{count} x {chain}" for chain, count in chains.most_common())


def _chain(awaited: Any) -> str:
    """Where a coroutine is, and what it awaits, to the innermost."""
    places: list[str] = []
    while isinstance(awaited, CoroutineType):
        line = awaited.cr_frame.f_lineno if awaited.cr_frame is not None else "end"
        places.append(f"{awaited.__qualname__}:{line}")
        awaited = awaited.cr_await
    return " > ".join((*places, type(awaited).__name__))
