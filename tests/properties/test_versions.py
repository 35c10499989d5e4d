"""Whatever happens to versions in whatever order, their states and leases keep their laws."""

import asyncio
from collections import defaultdict
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchproof_server.base.errors import ModelNotFound, ServingError
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import NEXT, VersionState
from support.fakes import settle_loop
from support.version_life import REFUSED, Life, place

VERSIONS = st.integers(1, 3)


class Shelf(RuleBasedStateMachine):
    """Three versions of a model, each loaded, leased, labelled and unloaded at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.life = Life((place(1), place(2)), {"m": {"stable": 1}})
        self.held: defaultdict[int, list[ExitStack]] = defaultdict(list)
        self.unloading: list[asyncio.Task[None]] = []
        self.closed: list[int] = []

    @rule(version=VERSIONS, fails=st.booleans())
    def load(self, version: int, *, fails: bool) -> None:
        """Loads it where that is allowed, and is refused where not."""
        self.life.loader.failure = REFUSED if fails else None
        states = {each.version: each.state for each in self.life.versions.statuses()}
        before = states.get(version, VersionState.DISCOVERED)
        load = self.life.versions.load(place(version))
        if VersionState.LOADING in NEXT[before]:
            status = self.runner.run(load)
            assert status.state is (VersionState.FAILED if fails else VersionState.READY)
        else:
            with pytest.raises(ValueError, match=f"that is {before} cannot"):
                self.runner.run(load)

    @rule(version=VERSIONS)
    def unload(self, version: int) -> None:
        """Begins to unload; it ends at once where nobody holds the version."""

        async def begin() -> None:
            unloading = asyncio.create_task(self.life.versions.unload("m", version))
            await settle_loop(30)
            self.unloading.append(unloading)

        known = {each.version for each in self.life.versions.statuses()}
        self.runner.run(begin())
        if version not in known:
            assert isinstance(self.unloading.pop().exception(), ModelNotFound)
        elif not self.held[version]:
            assert self.unloading[-1].done()
            assert self.unloading[-1].exception() is None

    @rule(version=st.none() | VERSIONS)
    def lease(self, version: int | None) -> None:
        """Leases a version that is ready, and nothing else."""
        stack = ExitStack()
        try:
            leased = stack.enter_context(
                self.life.versions.lease(ModelSelector("m", version=version))
            )
        except ServingError:
            ready = {each.version for each in self.life.versions.ready()}
            assert version not in ready if version else not ready
            return
        assert self.life.state(leased.version) is VersionState.READY
        assert version in (None, leased.version)
        self.held[leased.version].append(stack)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """Gives a lease back."""
        version = data.draw(st.sampled_from([each for each, held in self.held.items() if held]))
        self.held[version].pop().close()
        self.runner.run(settle_loop(30))

    @rule(version=VERSIONS, stuck=st.booleans())
    def watch(self, version: int, *, stuck: bool) -> None:
        """The device gives no sign of life, or does again."""
        if version in {each.version for each in self.life.versions.statuses()}:
            self.life.versions.follow_trouble("m", version, "it hangs" if stuck else "")

    @rule(version=VERSIONS)
    def relabel(self, version: int) -> None:
        """Moves the label to what exists."""
        known = {each.version for each in self.life.versions.statuses()}
        before = self.life.versions.find(ModelSelector("m", label="stable")).version
        if version in known:
            self.life.versions.labels.move("m", {"stable": version})
        else:
            with pytest.raises(ModelNotFound):
                self.life.versions.labels.move("m", {"stable": version})
        after = self.life.versions.find(ModelSelector("m", label="stable")).version
        assert after == (version if version in known else before)

    @invariant()
    def what_is_held_is_in_memory_and_what_is_unloaded_is_not(self) -> None:
        """No model is released under a lease, and none is kept without a state that says so."""
        for status in self.life.versions.statuses():
            holding = (VersionState.READY, VersionState.STUCK, VersionState.DRAINING)
            assert (status.served is not None) == (status.state in holding)
            if self.held[status.version]:
                assert status.state in holding
            elif status.state is VersionState.DRAINING:
                raise AssertionError("nobody holds it, and it does not end")

    @invariant()
    def the_news_is_a_path_through_the_table(self) -> None:
        """Each change starts where the one before ended, is allowed, and ends in what is so now."""
        last: dict[int, VersionState] = dict.fromkeys((1, 2), VersionState.DISCOVERED)
        for event in self.life.recorder.events:
            assert isinstance(event, VersionChanged)
            assert event.old is last.get(event.version)
            assert event.old is None or event.new in NEXT[event.old]
            last[event.version] = event.new
        states = {each.version: each.state for each in self.life.versions.statuses()}
        assert states == last

    def teardown(self) -> None:
        """Ends the loop."""
        self.runner.close()


TestShelf = Shelf.TestCase
TestShelf.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
