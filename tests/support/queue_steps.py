"""What may happen to a queue besides an offer; for searches of its properties."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Take:
    """The device is idle, once."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The caller of the task ``back`` before the latest accepted one goes away."""

    back: int
