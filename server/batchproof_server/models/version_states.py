"""The states of a version's life, and which may follow which."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_facts import VersionFacts


class VersionState(StrEnum):
    """Where a version is in its life.

    DISCOVERED it is known and nothing was done about it. LOADING it is read, compiled and proven.
    READY it answers. STUCK its device hangs, or it fails for every row; it may answer again.
    DRAINING it answers what it has accepted. UNLOADED its memory is given back. FAILED it could not
    be loaded, or what executes it keeps failing.
    """

    DISCOVERED = "discovered"
    LOADING = "loading"
    READY = "ready"
    STUCK = "stuck"
    DRAINING = "draining"
    UNLOADED = "unloaded"
    FAILED = "failed"


NEXT: Final[Mapping[VersionState, frozenset[VersionState]]] = {
    VersionState.DISCOVERED: frozenset({VersionState.LOADING, VersionState.UNLOADED}),
    # Back to DISCOVERED where whoever wanted it loaded went away.
    VersionState.LOADING: frozenset(
        {VersionState.READY, VersionState.FAILED, VersionState.DISCOVERED}
    ),
    VersionState.READY: frozenset({VersionState.STUCK, VersionState.DRAINING, VersionState.FAILED}),
    VersionState.STUCK: frozenset({VersionState.READY, VersionState.DRAINING, VersionState.FAILED}),
    VersionState.DRAINING: frozenset({VersionState.UNLOADED}),
    VersionState.UNLOADED: frozenset({VersionState.LOADING}),
    VersionState.FAILED: frozenset({VersionState.LOADING, VersionState.UNLOADED}),
}
"""What may follow each state."""

IN_MEMORY: Final = frozenset({VersionState.READY, VersionState.STUCK})
"""States of a version that was loaded and stays so until somebody unloads it."""
AT_WORK: Final = IN_MEMORY | {VersionState.LOADING, VersionState.DRAINING}
"""States that hold memory."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """A version as it is now.

    Attributes:
        findings: why it failed; empty in every other state.
        served: while it holds a model in memory.
        facts: what is known of that model.
        since_s: the instant at which the state began.
        step: of the loading, as far as it says.
        retry_at_s: of a version that failed, the instant from which loading it once more makes
            sense as it is; None where its bundle has to change first.
    """

    name: str
    version: int
    state: VersionState
    findings: tuple[str, ...] = ()
    served: ServedModel | None = None
    facts: VersionFacts = field(default_factory=VersionFacts)
    since_s: float = 0.0
    step: str = ""
    retry_at_s: float | None = None


def next_retry_s(statuses: Iterable[VersionStatus], now_s: float) -> float | None:
    """The next instant at which a version that failed is worth another try; None without one."""
    instants = [each.retry_at_s for each in statuses if each.retry_at_s is not None]
    return min((each for each in instants if each > now_s), default=None)
