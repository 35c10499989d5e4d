"""A keeper over a repository that the test writes in a line each."""

from collections.abc import Callable
from dataclasses import dataclass, field

from batchproof_server.models.discovery import Place
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.looking import FoundVersions, Key, Look, Lying, Sources
from batchproof_server.models.policies import RepositorySettings, VersionPolicy
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.models.weighted_versions import Target
from support.fakes import FakeClock, settle_loop
from support.version_life import REFUSED, FakeLoader, Life, place

LATEST = VersionPolicy(latest=1)
SETTLE_S = 1.0


async def at_once(look: Look) -> FoundVersions:
    """Looks on the loop."""
    return look()


@dataclass
class Choosy(FakeLoader):
    """Refuses what the test names.

    Attributes:
        bad: versions.
    """

    bad: set[int] = field(default_factory=set)

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Does what the attributes say."""
        self.failure = REFUSED if place.version in self.bad else None
        return await super().load(place, tell_step)


@dataclass
class Kept:
    """Versions of the model "m", a repository, and the keeper of both.

    Attributes:
        files: what lies there: a version and its stamp.
        partial: versions of which a file has a name that says that it is not finished.
        fault: raised by every look.
        unread: models of which a look can say nothing.
    """

    policy: VersionPolicy = LATEST
    files: dict[Key, str] = field(default_factory=dict)
    partial: set[Key] = field(default_factory=set)
    fault: Exception | None = None
    unread: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, Target]] = field(default_factory=dict)
    poll_s: float = 0.0

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.loader = Choosy()
        self.life = Life((), self.labels, loader=self.loader, clock=self.clock)
        self.versions = self.life.versions
        self.keeper = Keeper(
            self.versions,
            self.sources(),
            clock=self.clock,
            observer=self.life.recorder,
            look_off_loop=at_once,
        )

    def sources(self) -> Sources:
        """As they are written now."""
        settings = RepositorySettings(self.poll_s, SETTLE_S, self.policy)
        return Sources(self.look, settings, self.labels)

    def look(self) -> FoundVersions:
        """What lies there now."""
        if self.fault is not None:
            raise self.fault
        found = {
            key: Lying(place(key[1], key[0]), stamp, "a.part" if key in self.partial else "")
            for key, stamp in self.files.items()
            if key[0] not in self.unread
        }
        return FoundVersions(found, self.unread)

    def put(self, *versions: int, stamp: str = "as it is") -> None:
        """Copies versions of "m", whole as far as a look can say."""
        self.files.update({("m", version): stamp for version in versions})

    async def begin(self, *versions: int) -> "Kept":
        """Starts with these versions."""
        self.put(*versions)
        await self.keeper.begin()
        await settle_loop(40)
        return self

    async def pass_time(self, looks: int = 3) -> None:
        """Lets what is new settle."""
        for _ in range(looks):
            self.clock.advance(SETTLE_S)
            await settle_loop(60)

    def in_state(self, state: VersionState) -> list[int]:
        """The versions of "m" in a state."""
        return [each for each, now in self.keeper.states("m").items() if now is state]

    @property
    def ready(self) -> list[int]:
        """The versions of "m" that answer."""
        return self.in_state(VersionState.READY)

    def news(self) -> list[tuple[int, str]]:
        """What became of versions, in its order."""
        events = self.life.recorder.events
        return [(e.version, str(e.new)) for e in events if isinstance(e, VersionChanged)]
