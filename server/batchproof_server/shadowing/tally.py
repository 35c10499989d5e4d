"""What shadows were found to do, counted for whoever wants to compare."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.clock import LAST_MS
from batchproof_server.base.events import Subscription
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.shadowing.records import SKIP_REASONS, ShadowRecord

# A model, the version that answered, and the shadow.
Pair: TypeAlias = tuple[str, int, int]


@dataclass(slots=True)
class PairTally:
    """What was counted of a version that answered and a shadow.

    Attributes:
        since_ms: when counting began, in milliseconds since the beginning of 1970.
        compared: rows that both answered.
        different: those of them that got another class, or other labels.
        distance_sum: of all of them.
        distance_squares: sum of the squares.
        timed: rows that both executed in the same bucket.
        slower_sum_s: how much longer the shadow took for them.
        slower_squares: sum of the squares, in s².
        answered_sum_s: how long the version that answered took for them.
        skipped: rows that were selected and not compared, by the reason.

    Raises:
        ValueError: no rows can have been counted so.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    since_ms: int
    compared: int = 0
    different: int = 0
    distance_sum: float = 0.0
    distance_squares: float = 0.0
    timed: int = 0
    slower_sum_s: float = 0.0
    slower_squares: float = 0.0
    answered_sum_s: float = 0.0
    skipped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.since_ms <= LAST_MS:
            raise ValueError(f"since_ms is {self.since_ms}, expected 0 to {LAST_MS}")
        fewer = (self.different, self.timed)
        if not (min(fewer) >= 0 and max(fewer) <= self.compared <= _MOST_ROWS):
            raise ValueError(
                f"different is {self.different}, timed is {self.timed} and compared is "
                f"{self.compared}, expected counts of which the last is the largest"
            )
        for name in _SUMS:
            value = getattr(self, name)
            if not math.isfinite(value) or (value < 0 and name != "slower_sum_s"):
                raise ValueError(f"{name} is {value}, expected a sum that rows can have")
        for reason, rows in self.skipped.items():
            if reason not in SKIP_REASONS or not 0 <= rows <= _MOST_ROWS:
                raise ValueError(
                    f"skipped has {rows} rows for a reason, expected a count for one of "
                    f"{', '.join(SKIP_REASONS)}"
                )

    def add(self, record: ShadowRecord) -> None:
        """Counts a row."""
        if record.result == "skipped":
            self.skipped[record.reason] = self.skipped.get(record.reason, 0) + 1
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


_SUMS = ("distance_sum", "distance_squares", "slower_sum_s", "slower_squares", "answered_sum_s")
_MOST_ROWS = 1 << 53


@dataclass(frozen=True, slots=True)
class KeptTally:
    """The tally of a pair, and of which models it is.

    Attributes:
        executed: a digest of what answered, see ``digest_of``; empty where nobody said.
        shadowed: of the shadow.
        tally: what was counted.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    executed: str
    shadowed: str
    tally: PairTally


@dataclass(frozen=True, slots=True)
class _Loaded:
    digest: str
    since_ms: int


def digest_of(facts: VersionFacts) -> str:
    """What has to be the same for counts to be about the same: model, recipe, engine, classes."""
    same = (
        facts.model_digest,
        facts.recipe_digest,
        facts.engine,
        facts.class_labels,
        facts.is_multi_label,
    )
    return hashlib.sha256(repr(same).encode("utf-8", "surrogateescape")).hexdigest()


# Contract: lives on the loop thread. What is counted begins anew when either version is unloaded,
# and when either is loaded and is another model than the one of which was counted. What was kept by
# a server before goes on where neither is so; of versions that nobody has heard of in this one it
# is not told.
class Tallies:
    """An observer that counts what shadows were found to do.

    Args:
        now_ms: the time, in milliseconds since the beginning of 1970.
        kept: what a server before this one counted.
    """

    def __init__(
        self, now_ms: Callable[[], int], kept: Mapping[Pair, KeptTally] = MappingProxyType({})
    ) -> None:
        self._now_ms = now_ms
        self._kept = dict(kept)
        self._known: set[tuple[str, int]] = set()
        self._loaded: dict[tuple[str, int], _Loaded] = {}

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """Rows of shadows, and versions that come and go."""
        return (
            Subscription(ShadowRecord, self.count),
            Subscription(VersionChanged, self.follow_version),
        )

    def count(self, record: ShadowRecord) -> None:
        """Counts a row."""
        pair = (record.model, record.version, record.shadow)
        if pair not in self._kept:
            executed, shadowed = (self._digest(record.model, each) for each in pair[1:])
            self._kept[pair] = KeptTally(executed, shadowed, PairTally(self._now_ms()))
            self._known |= {(record.model, each) for each in pair[1:]}
        self._kept[pair].tally.add(record)

    def _digest(self, model: str, version: int) -> str:
        loaded = self._loaded.get((model, version))
        return "" if loaded is None else loaded.digest

    def follow_version(self, change: VersionChanged) -> None:
        """Forgets what was counted of a version that is gone, or is another than it was."""
        version = (change.model, change.version)
        if change.new is VersionState.UNLOADED:
            self._known.discard(version)
            self._loaded.pop(version, None)
            self._forget(version)
            return
        self._known.add(version)
        if change.old is VersionState.LOADING and change.new is VersionState.READY:
            digest = digest_of(change.facts)
            self._loaded[version] = _Loaded(digest, self._now_ms())
            self._forget(version, digest)

    def _forget(self, version: tuple[str, int], but: str | None = None) -> None:
        """Forgets what was counted of a version, unless it was of the model with this digest."""
        for pair, kept in list(self._kept.items()):
            for number, digest in zip(pair[1:], (kept.executed, kept.shadowed), strict=True):
                if (pair[0], number) == version and digest != but:
                    self._kept.pop(pair, None)

    def of(self, model: str, shadow: int) -> dict[int, PairTally]:
        """What was counted of a model's shadow, by the versions that answered, oldest first."""
        return {
            version: kept.tally
            for (name, version, other), kept in sorted(self.kept().items())
            if (name, other) == (model, shadow)
        }

    def kept(self) -> dict[Pair, KeptTally]:
        """What is to be kept for a server after this one: copies, of versions that are known."""
        return {
            pair: deepcopy(kept)
            for pair, kept in self._kept.items()
            if {(pair[0], version) for version in pair[1:]} <= self._known
        }

    def loaded_ms(self, model: str, version: int) -> int | None:
        """When a version was loaded, in milliseconds since 1970; None where it is not."""
        loaded = self._loaded.get((model, version))
        return None if loaded is None else loaded.since_ms
