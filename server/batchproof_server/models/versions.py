"""The life of every model version: loaded, leased, drained, unloaded, and loaded again."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.events import Observer
from batchproof_server.models.discovery import Place
from batchproof_server.models.giving_up import Releases, Retries
from batchproof_server.models.loader import Loader
from batchproof_server.models.selection import (
    Labels,
    ModelSelector,
    answering,
    meant,
    ready_of,
    selected,
)
from batchproof_server.models.served import Lease, ServedModel
from batchproof_server.models.shadows import Shadows
from batchproof_server.models.version_changed import change_of
from batchproof_server.models.version_facts import facts_of
from batchproof_server.models.version_labels import ShareDiverted, VersionLabels
from batchproof_server.models.version_states import IN_MEMORY, NEXT, VersionState, VersionStatus

_UNFORESEEN_FINDING: Final = "the server failed while loading it; its log has more"


# Contract of the life-cycle
#
# States      Change only as NEXT says, and each change is one VersionChanged: the only news.
# Failure     A version that fails to load, or whose devices keep failing, is FAILED with its
#             findings and stops no other.
# Leases      Only a READY version is leased. unload waits for every lease that was given, then for
#             the batcher, and only then releases the model: it refuses nobody who was let in.
# Knowledge   A version stays known whatever becomes of it, so that callers are told why it does
#             not answer; FAILED and UNLOADED ones can be loaded again.
# Thread      Everything happens on the loop thread.
class Versions:
    """The versions of all models.

    Args:
        places: what was discovered.
        version_labels: model -> label -> what it stands for.
        loader: makes them answer.
        observer: told of every change.
        clock: for the instants of the changes.
        report_unforeseen: told of what loading failed with and nobody foresaw.
        shadows: the version of a model that answers nobody.

    Raises:
        ValueError: a label names a model or a version that was not discovered, or a shadow.

    Attributes:
        labels: what callers may name in place of a version.
        shadows: the versions that answer nobody.
    """

    def __init__(  # noqa: PLR0913 - what they are, and who hears of them
        self,
        places: tuple[Place, ...],
        version_labels: Labels,
        *,
        loader: Loader,
        observer: Observer,
        clock: Clock,
        report_unforeseen: Callable[[Exception], None],
        shadows: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._loader = loader
        self._observer = observer
        self._clock = clock
        self._report_unforeseen = report_unforeseen
        self._statuses: dict[str, dict[int, VersionStatus]] = {}
        for place in places:
            self._add(place)
        self.labels = VersionLabels(version_labels, self._statuses)
        self.shadows = Shadows(shadows, self._statuses, self.labels, observer, self._find_ready)
        self._tell_loaded: Callable[[ServedModel], None] | None = None
        self._tell_given_up: Callable[[], None] | None = None
        self._retries, self._releases = Retries(clock), Releases()
        self._leases: dict[tuple[str, int], Lease] = {}
        self._ready: tuple[ServedModel, ...] = ()
        # By the name of a model that has one, the version that answers whoever names no other.
        self._answering: dict[str, ServedModel] = {}

    def listen(self, tell: Callable[[ServedModel], None]) -> None:
        """Says who is told of every version that was loaded."""
        self._tell_loaded = tell

    def heed(self, tell: Callable[[], None]) -> None:
        """Says who is told that a version was given up."""
        self._tell_given_up = tell

    def announce(self) -> None:
        """Tells the observer of every version that was discovered."""
        for status in self.statuses():
            self._tell(None, status)
        self.shadows.announce()

    async def load(self, place: Place) -> VersionStatus:
        """Loads a version, known or not; returns what became of it.

        Cancelling leaves it as one that was only discovered.

        Raises:
            ValueError: it is loaded, or being loaded or unloaded.
        """
        name, version = place.name, place.version
        if version not in self._statuses.get(name, {}):
            self._tell(None, self._add(place))
        self._change(name, version, VersionState.LOADING)
        try:
            served = await self._loader.load(place, partial(self._step, place))
        except ModelRefused as refused:
            findings = refused.findings or (str(refused),)
            self._change(name, version, VersionState.FAILED, findings=findings)
        except asyncio.CancelledError:
            self._change(name, version, VersionState.DISCOVERED)
            raise
        except Exception as failure:  # noqa: BLE001 - one bundle must not stop the others
            self._report_unforeseen(failure)
            self._fail_for_now(name, version)
        else:
            self._leases[name, version] = Lease(served)
            self._change(name, version, VersionState.READY, served=served)
            self._retries.stand(name, version)
            served.batcher.listen(partial(self.follow_trouble, name, version))
            served.failing.listen(partial(self.give_up, name, version))
            if self._tell_loaded is not None:
                self._tell_loaded(served)
        return self._statuses[name][version]

    def _fail_for_now(self, name: str, version: int, finding: str = _UNFORESEEN_FINDING) -> None:
        retry_at_s = self._retries.at_s(name, version, self._statuses[name][version].since_s)
        self._change(name, version, VersionState.FAILED, findings=(finding,), retry_at_s=retry_at_s)

    def give_up(self, name: str, version: int, reason: str) -> None:
        """What executes a version keeps failing, for a reason; its memory is given back."""
        status = self._statuses.get(name, {}).get(version)
        if status is None or status.served is None or status.state not in IN_MEMORY:
            return  # it is going away by itself
        self._fail_for_now(name, version, reason)
        self._releases.begin(self._leases.pop((name, version)), status.served)
        if self._tell_given_up is not None:
            self._tell_given_up()

    async def unload(self, name: str, version: int) -> None:
        """Drains a version and gives its memory back; what was accepted is answered.

        A wait that is cancelled leaves it draining; unloading once more goes on from there.

        Raises:
            ModelNotFound: there is no such version.
            ValueError: it is being loaded.
        """
        state = self.find(ModelSelector(name, version=version)).state
        if state in IN_MEMORY:
            self._change(name, version, VersionState.DRAINING)
        lease = self._leases.get((name, version))
        if lease is not None:
            await self._release(lease, name, version, is_stuck=state is VersionState.STUCK)
        elif state is not VersionState.UNLOADED:
            self._change(name, version, VersionState.UNLOADED)

    async def _release(self, lease: Lease, name: str, version: int, *, is_stuck: bool) -> None:
        await lease.end()
        # Whoever else waited for the same may have been quicker, before and after the drain.
        served = self._statuses[name][version].served
        if served is None or self._leases.get((name, version)) is not lease:
            return
        if not is_stuck:  # a stuck device would never finish
            await served.batcher.drain()
        if self._leases.get((name, version)) is lease:
            del self._leases[name, version]
            served.close()
            self._change(name, version, VersionState.UNLOADED)

    def forget(self, name: str, version: int) -> None:
        """Knows no more of a version that was unloaded, nor of labels that stand for it.

        Raises:
            ValueError: it was not unloaded.
        """
        if (state := self._statuses[name][version].state) is not VersionState.UNLOADED:
            raise ValueError(f"a version that is {state} cannot be forgotten")
        del self._statuses[name][version]
        if not self._statuses[name]:
            del self._statuses[name]
        self.labels.drop(name, version)
        self._retries.forget(name, version)

    def lease(self, selector: ModelSelector) -> Lease:
        """Keeps the version that answers in use, for as long as what is returned is entered.

        Raises:
            InvalidInput, ModelNotFound, ModelNotReady, ModelRefused, Draining: as ``select`` says.
        """
        model = None
        if selector.version is None and selector.label is None:
            model = self._answering.get(selector.name)
        if model is None:
            model = self.select(selector)
            self._tell_diverted(selector, model)
        return self._leases[model.name, model.version]

    def _tell_diverted(self, selector: ModelSelector, model: ServedModel) -> None:
        version = meant(selector, model, self.labels.by_model)
        if version != model.version:
            self._observer.notify(ShareDiverted(model.name, version, model.version))

    def follow_trouble(self, name: str, version: int, reason: str) -> None:
        """A version cannot answer any more, for a reason; or it can again, for none."""
        status = self._statuses.get(name, {}).get(version)
        state = None if status is None else status.state  # a device may speak of what is gone
        if reason and state is VersionState.READY:
            self._change(name, version, VersionState.STUCK, findings=(reason,))
        elif not reason and state is VersionState.STUCK:
            self._change(name, version, VersionState.READY)

    def start_draining(self) -> None:
        """Every version that answers refuses from now on; none is released."""
        for status in self.statuses():
            if status.state in IN_MEMORY:
                self._change(status.name, status.version, VersionState.DRAINING)

    def close(self) -> None:
        """Releases every model, whatever its state, and tells nobody; nothing may follow."""
        self._releases.close()
        for model in self.loaded():
            model.close()

    def statuses(self) -> tuple[VersionStatus, ...]:
        """All versions by name, oldest first."""
        return tuple(
            self._statuses[name][version]
            for name in sorted(self._statuses)
            for version in sorted(self._statuses[name])
        )

    def ready(self) -> tuple[ServedModel, ...]:
        """The versions that answer."""
        return self._ready

    def loaded(self) -> tuple[ServedModel, ...]:
        """The versions that hold a model in memory."""
        return tuple(status.served for status in self.statuses() if status.served is not None)

    def find(self, selector: ModelSelector) -> VersionStatus:
        """The version that a selector stands for, in whatever state.

        Raises:
            InvalidInput, ModelNotFound: as ``models.selection.selected`` says.
        """
        return selected(selector, self._statuses, self.labels.by_model, self.shadows)

    def select(self, selector: ModelSelector) -> ServedModel:
        """The version that answers, for those who only look at it; to use it, ``lease``.

        Raises:
            InvalidInput, ModelNotFound, ModelNotReady, ModelRefused, Draining: as
                ``models.selection`` says.
        """
        return answering(self.find(selector), self.shadows)

    def _add(self, place: Place) -> VersionStatus:
        name, version, now_s = place.name, place.version, self._clock.now_s()
        found = VersionStatus(name, version, VersionState.DISCOVERED, since_s=now_s)
        self._statuses.setdefault(name, {})[version] = found
        return found

    def _step(self, place: Place, step: str) -> None:
        status = self._statuses[place.name][place.version]
        if status.state is VersionState.LOADING:
            self._statuses[place.name][place.version] = replace(status, step=step)

    def _change(
        self,
        name: str,
        version: int,
        state: VersionState,
        *,
        served: ServedModel | None = None,
        findings: tuple[str, ...] = (),
        retry_at_s: float | None = None,
    ) -> None:
        old, now_s = self._statuses[name][version], self._clock.now_s()
        if state not in NEXT[old.state]:
            raise ValueError(f"a version that is {old.state} cannot become {state}")
        status = VersionStatus(name, version, state, findings, since_s=now_s, retry_at_s=retry_at_s)
        if served is not None:
            status = replace(status, served=served, facts=facts_of(served))
        elif state in _HOLDING:
            status = replace(status, served=old.served, facts=old.facts)
        self._statuses[name][version] = status
        self._find_ready()
        self._tell(old, status, now_s - old.since_s if old.state in _TAKING_TIME else 0.0)

    def _find_ready(self) -> None:
        self._ready = ready_of(self.statuses(), self.shadows)
        # Oldest first, so that the newest is what is left.
        self._answering = {each.name: each for each in self._ready}
        if len(self._statuses) == 1 and self._ready:
            self._answering[""] = self._ready[-1]

    def _tell(self, old: VersionStatus | None, status: VersionStatus, took_s: float = 0) -> None:
        self._observer.notify(change_of(old, status, took_s))


_HOLDING: Final = (VersionState.READY, VersionState.STUCK, VersionState.DRAINING)
_TAKING_TIME: Final = (VersionState.LOADING, VersionState.DRAINING)
