"""Keeps the loaded versions in line with the repository: looks, loads, switches and unloads."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.errors import Draining
from batchproof_server.base.events import Observer, RepositoryLooked
from batchproof_server.models.coming_labels import ComingLabels
from batchproof_server.models.discovery import Place
from batchproof_server.models.looking import (
    FoundVersions,
    Key,
    Look,
    Lying,
    Seen,
    Sources,
    as_it_lies,
    settle,
)
from batchproof_server.models.off_loop import off_loop
from batchproof_server.models.planning import Aim, plan
from batchproof_server.models.policies import NOTHING, VersionPolicy
from batchproof_server.models.version_states import VersionState, VersionStatus, next_retry_s
from batchproof_server.models.versions import Versions

# Between two looks at something that is being copied, where none is set.
_SHORTEST_S: Final = 0.05


# Contract
#
# Order       One version is loaded at a time, beside those that answer. What a plan says is done
#             from what is so at that moment; whatever ends makes another plan.
# Looks       A look that fails changes nothing. What has come is loaded once it is whole; at the
#             start everything is taken for whole.
# Failures    A version that failed is tried again when its files change, when its ``retry_at_s``
#             has passed, or when somebody asks for it.
# Labels      A label of the configuration moves when its version answers, and not before.
# Thread      Everything happens on the loop thread, but for the looks.
class Keeper:
    """Carries out the policies.

    Args:
        versions: whose life it is.
        sources: where they lie, and what is wanted of them.
        clock: of the looks.
        observer: told of every look.
        look_off_loop: does the looking.
    """

    def __init__(
        self,
        versions: Versions,
        sources: Sources,
        *,
        clock: Clock,
        observer: Observer,
        look_off_loop: Callable[[Look], Awaitable[FoundVersions]] = off_loop,
    ) -> None:
        self.versions = versions
        self.sources = sources
        self.said: defaultdict[str, dict[int, bool]] = defaultdict(dict)
        self.stopped: set[str] = set()
        self.again: set[Key] = set()
        self.coming_labels = ComingLabels(versions)
        self._clock = clock
        self._observer = observer
        self._look_off_loop = look_off_loop
        self._seen: dict[Key, Seen] = {}
        self._tried: dict[Key, str] = {}
        self._loading: tuple[Key, asyncio.Task[None]] | None = None
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._looking: set[asyncio.Task[str]] = set()
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._alarm = Alarm(clock, self._start_round)
        self._has_begun = False
        self.is_over = False

    async def begin(self) -> None:
        """Loads what is wanted of what lies there, one after the other, and polls from then on.

        Cancelling it abandons the version at hand.
        """
        self.versions.heed(self.act)
        try:
            await self.look()
            await self.until(lambda: not self.is_loading)
        except asyncio.CancelledError:
            self.end()
            raise

    def end(self) -> None:
        """Looks, loads and unloads no more."""
        self.is_over = True
        self._alarm.cancel()
        loading = [] if self._loading is None else [self._loading[1]]
        for task in (*loading, *self._tasks.values(), *self._looking):
            task.cancel()
        self._wake()

    @property
    def seen(self) -> Mapping[Key, Seen]:
        """What lies in the repository, as far as is known."""
        return self._seen

    async def look(self) -> str:
        """Looks now, and sets about whatever follows; returns why nothing could be seen."""
        async with self._turn:
            try:
                found = await self._look_off_loop(self.sources.look)
            except (ValueError, OSError) as fault:
                failure = str(fault)
            else:
                self._take(found)
                failure = "; ".join(found.unread.values())
        self._observer.notify(RepositoryLooked(failure))
        self.act()
        self._ring()
        return failure

    def _take(self, found: FoundVersions) -> None:
        if self._has_begun:
            now_s = self._clock.now_s()
            seen = settle(self._seen, found.versions, now_s, self.sources.settings.settle_s)
        else:
            seen = as_it_lies(found.versions)
        self._has_begun = True
        unread = {key: was for key, was in self._seen.items() if key[0] in found.unread}
        self._seen = {**seen, **unread}

    async def take_sources(self, sources: Sources) -> str:
        """Goes by others from now on, tries again what failed, and looks; as ``look`` says.

        Labels that are not the ones of the sources before move, the others stay where they are.
        """
        self.coming_labels.take(self.sources.labels, sources.labels)
        self.sources = sources
        self.again |= {
            key for key, each in self._known().items() if each.state is VersionState.FAILED
        }
        return await self.look()

    async def refuse_sources(self, reason: str) -> str:
        """Tells that others cannot be read; all goes on by those before."""
        self._observer.notify(RepositoryLooked(reason))
        return reason

    def take_as_it_lies(self, key: Key) -> Lying:
        """Somebody says that a version is whole; it has been found."""
        lying = self._seen[key].lying
        self._seen[key] = as_it_lies({key: lying})[key]
        return lying

    def _ring(self) -> None:
        settings, now_s = self.sources.settings, self._clock.now_s()
        if self.is_over:
            return
        if not all(each.is_whole for each in self._seen.values()):
            self._alarm.ring_by(now_s + max(settings.settle_s, _SHORTEST_S))
        if settings.poll_s:
            self._alarm.ring_by(now_s + settings.poll_s)

    def _start_round(self) -> None:
        looking = asyncio.ensure_future(self.look())
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)

    def act(self) -> None:
        """Does what is to be done as things are now."""
        if self.is_over:
            return
        self.coming_labels.move()
        known, loads = self._known(), list[Key]()
        for model in sorted({name for name, _ in (*self._seen, *known)}):
            todo = plan(self._aim(model, known), _states(model, known))
            loads += [(model, version) for version in todo.load]
            for version in todo.unload:
                self._start_unloading((model, version))
            for version in todo.forget:
                self.versions.forget(model, version)
        if self._loading is None and loads:
            # What somebody waits for comes first.
            self._start_loading(next((key for key in loads if key in self.again), loads[0]))
        self._alarm.ring_by(next_retry_s(known.values(), self._clock.now_s()))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _known(self) -> dict[Key, VersionStatus]:
        return {(each.name, each.version): each for each in self.versions.statuses()}

    def states(self, model: str) -> dict[int, VersionState]:
        """The states of the versions of a model that are known."""
        return _states(model, self._known())

    def _aim(self, model: str, known: Mapping[Key, VersionStatus]) -> Aim:
        found = frozenset(version for name, version in self._seen if name == model)
        whole = frozenset(version for version in found if self._seen[model, version].is_whole)
        if model in self.stopped:
            return Aim(NOTHING, found, whole)
        return Aim(
            policy=self.sources.settings.policy_of(model),
            found=found,
            whole=whole,
            shadow=self.versions.shadows.of(model),
            labelled=self.versions.labels.versions(model) | self.coming_labels.of(model),
            said=self.said.get(model, {}),
            retry=frozenset(
                version
                for version in whole
                if (status := known.get((model, version))) is not None and self._may_retry(status)
            ),
        )

    def _may_retry(self, status: VersionStatus) -> bool:
        key, retry_at_s = (status.name, status.version), status.retry_at_s
        has_changed = self._tried.get(key) != self._seen[key].lying.stamp
        is_time = retry_at_s is not None and self._clock.now_s() >= retry_at_s
        return has_changed or is_time or key in self.again

    def _start_loading(self, key: Key) -> None:
        place = self._seen[key].lying.place
        self._tried[key] = self._seen[key].lying.stamp
        self._loading = (key, asyncio.ensure_future(self._load(key, place)))

    async def _load(self, key: Key, place: Place) -> None:
        try:
            await self.versions.load(place)
        finally:
            self._loading = None
            self.again.discard(key)
            self.act()

    def stop_loading(self, key: Key) -> None:
        """A version is not to be loaded after all."""
        if self._loading is not None and self._loading[0] == key:
            self._loading[1].cancel()

    def _start_unloading(self, key: Key) -> None:
        if key not in self._tasks:
            self._tasks[key] = asyncio.ensure_future(self._unload(key))

    async def _unload(self, key: Key) -> None:
        try:
            await self.versions.unload(*key)
        finally:
            del self._tasks[key]
            self.act()

    @property
    def is_loading(self) -> bool:
        """Whether a version is loaded now, or another one follows at once."""
        return self._loading is not None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is loaded, and nothing that has come is looked at once more."""
        return not self.is_loading and all(
            each.is_whole or each.lying.partial for each in self._seen.values()
        )

    def is_loading_of(self, model: str) -> bool:
        """Whether a version of a model is loaded now or waits for its turn."""
        known = self._known()
        is_now = self._loading is not None and self._loading[0][0] == model
        has_next = bool(plan(self._aim(model, known), _states(model, known)).load)
        return is_now or has_next

    def has_changed(self, key: Key) -> bool:
        """Whether the files of a version are others than when it was loaded last."""
        seen, tried = self._seen.get(key), self._tried.get(key)
        return None not in (seen, tried) and seen is not None and seen.lying.stamp != tried

    def follow(self, policies: Mapping[str, VersionPolicy]) -> None:
        """Goes by other policies for these models."""
        settings = self.sources.settings
        settings = replace(settings, policies={**settings.policies, **policies})
        self.sources = replace(self.sources, settings=settings)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when something holds; it is looked at whenever something has changed.

        Raises:
            Draining: the server ends before.
        """
        while not condition():
            if self.is_over:
                raise Draining("the server is going away; try another one")
            await self._changed.wait()


def _states(model: str, known: Mapping[Key, VersionStatus]) -> dict[int, VersionState]:
    return {version: each.state for (name, version), each in known.items() if name == model}
