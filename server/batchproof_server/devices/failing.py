"""Whether the devices of one version all keep failing."""

from collections.abc import Callable
from typing import TypeAlias

TellFailing: TypeAlias = Callable[[str], None]


# Contract: who listens is told once, when none of the devices is left that does not keep failing.
# One that is not known to keep failing is worth waiting for.
class Failing:
    """Knows which devices of a version keep failing.

    Args:
        devices: how many there are; none of them can fail where there are none.
    """

    def __init__(self, devices: int = 0) -> None:
        self._reasons = [""] * devices
        self._tell: TellFailing | None = None

    def listen(self, tell: TellFailing) -> None:
        """Says who is told why they are given up."""
        self._tell = tell

    def note(self, number: int, reason: str) -> None:
        """A device keeps failing for a reason; or it does not, for none."""
        self._reasons[number] = reason
        if self._tell is not None and all(self._reasons):
            tell, self._tell = self._tell, None
            tell(reason)
