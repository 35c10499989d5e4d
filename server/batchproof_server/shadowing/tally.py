"""What shadows were found to do, counted for whoever wants to compare."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from batchproof_server.base.events import Subscription
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.shadowing.records import ShadowRecord


@dataclass(slots=True)
class PairTally:
    """What was counted of a version that answered and a shadow.

    Attributes:
        compared: rows that both answered.
        different: those of them that got another class, or other labels.
        distance_sum: of all of them.
        distance_squares: sum of the squares.
        timed: rows that both executed in the same bucket.
        slower_sum_s: how much longer the shadow took for them.
        slower_squares: sum of the squares, in s².
        answered_sum_s: how long the version that answered took for them.
        skipped: rows that were selected and not compared, by the reason.
    """

    compared: int = 0
    different: int = 0
    distance_sum: float = 0.0
    distance_squares: float = 0.0
    timed: int = 0
    slower_sum_s: float = 0.0
    slower_squares: float = 0.0
    answered_sum_s: float = 0.0
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, record: ShadowRecord) -> None:
        """Counts a row."""
        if record.result == "skipped":
            self.skipped[record.reason] += 1
            return
        self.compared += 1
        self.different += record.result == "different"
        self.distance_sum += record.distance
        self.distance_squares += record.distance * record.distance
        if record.answered_s is not None:
            slower_s = record.shadow_s - record.answered_s
            self.timed += 1
            self.slower_sum_s += slower_s
            self.slower_squares += slower_s * slower_s
            self.answered_sum_s += record.answered_s


# Contract: lives on the loop thread. What is counted begins anew when either version is loaded
# anew.
class Tallies:
    """An observer that counts what shadows were found to do."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, int, int], PairTally] = {}

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """Rows of shadows, and versions that go."""
        return (
            Subscription(ShadowRecord, self.count),
            Subscription(VersionChanged, self.follow_version),
        )

    def count(self, record: ShadowRecord) -> None:
        """Counts a row."""
        key = (record.model, record.version, record.shadow)
        self._tallies.setdefault(key, PairTally()).add(record)

    def follow_version(self, change: VersionChanged) -> None:
        """Forgets what was counted of a version that was unloaded."""
        if change.new is VersionState.UNLOADED:
            for key in [
                k for k in self._tallies if k[0] == change.model and change.version in k[1:]
            ]:
                del self._tallies[key]

    def of(self, model: str, shadow: int) -> dict[int, PairTally]:
        """What was counted of a model's shadow, by the versions that answered, oldest first."""
        return {
            version: tally
            for (name, version, other), tally in sorted(self._tallies.items())
            if (name, other) == (model, shadow)
        }
