"""What every scenario is given: how long, how often, and somebody who is told how far it is."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

Step = TypeVar("Step")


@dataclass(frozen=True)
class Bench:
    """How to measure.

    Attributes:
        seconds: of one measurement.
        repeats: of each measurement.
        tell: gets a line that replaces the last one.
    """

    seconds: float
    repeats: int
    tell: Callable[[str], None]

    def steps(self, label: str, steps: Sequence[Step]) -> Iterator[Step]:
        """Each step, told before it begins."""
        begun_s = time.monotonic()
        for number, step in enumerate(steps, start=1):
            took_s = time.monotonic() - begun_s
            self.tell(f"{label} {number}/{len(steps)} ({took_s:.0f} s)")
            yield step


@contextmanager
def together() -> Iterator[ExitStack]:
    """Several processes that end together."""
    with ExitStack() as stack:
        yield stack
