"""An event loop whose clock jumps to the next timer: hours pass in no time, and nobody sleeps."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Jump(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits and no timer is set")
        self.now_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Tells the time of its own clock, which starts at 0."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """The virtual instant."""
        return self._jump.now_s

    def hold_up(self, duration_s: float) -> None:
        """Lets time pass while nothing else may run, as a busy process would."""
        self._jump.now_s += duration_s


def run_virtually(body: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body)
