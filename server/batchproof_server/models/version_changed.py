"""The one news of the life of versions."""

from dataclasses import dataclass, field

from batchproof_server.base.events import Event
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState, VersionStatus


# Contract: whoever keeps something for a version begins when it hears of it and forgets it all when
# it becomes UNLOADED: nothing else says that a version came or went.
@dataclass(frozen=True, slots=True)
class VersionChanged(Event):
    """A model version changed its state.

    Attributes:
        old: None when it was discovered.
        new: the state from now on.
        facts: of the loaded model, also in the change that ends it; else all empty.
        findings: why it failed; else empty.
        duration_s: how long loading or draining took, when that is over; else 0.
    """

    model: str
    version: int
    old: VersionState | None
    new: VersionState
    facts: VersionFacts = field(default_factory=VersionFacts)
    findings: tuple[str, ...] = ()
    duration_s: float = 0.0


def change_of(old: VersionStatus | None, status: VersionStatus, took_s: float) -> VersionChanged:
    """The news of a change.

    Args:
        old: before it; None where the version was discovered.
        status: from now on.
        took_s: how long what is over has taken.
    """
    known = old if old is not None and status.served is None else status
    return VersionChanged(
        model=status.name,
        version=status.version,
        old=None if old is None else old.state,
        new=status.state,
        facts=known.facts,
        findings=status.findings,
        duration_s=took_s,
    )
