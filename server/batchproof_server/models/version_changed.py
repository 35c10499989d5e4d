"""The one news of the life of versions."""

from dataclasses import dataclass, field

from batchproof_server.base.events import Event
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState


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
