"""Whatever comes to a repository, is asked for and fails, in whatever order: somebody answers."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchproof_server.base.errors import ServingError
from batchproof_server.models.orders import Orders
from batchproof_server.models.policies import VersionPolicy
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.version_states import VersionState
from batchproof_server.models.weighted_versions import Target, target_of
from support.fakes import settle_loop
from support.keeping import Kept

VERSIONS = st.integers(1, 4)
SPLITS = st.dictionaries(VERSIONS, st.integers(1, 9), min_size=1, max_size=3).map(target_of)
POLICIES = (
    VersionPolicy(),
    VersionPolicy(latest=1),
    VersionPolicy(latest=2),
    VersionPolicy(specific=(1, 3)),
)
HOLDING = (VersionState.READY, VersionState.STUCK, VersionState.DRAINING)


class Repository(RuleBasedStateMachine):
    """Up to four versions of a model, which come, change, fail, hang, go, and are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.kept = Kept(poll_s=1.0)
        self.kept.put(1)
        self.runner.run(self.kept.keeper.begin())
        self.orders = Orders(self.kept.keeper)
        self.held: list[tuple[int, ExitStack]] = []
        self.waiting: list[asyncio.Task[Any]] = []
        self.stamps = 0
        # Whether an operator unloaded something since: then nothing may be left that answers.
        self.unloads = False

    def settle(self) -> None:
        """Lets everything happen that can."""
        self.runner.run(settle_loop(60))

    def ask(self, order: Coroutine[Any, Any, Any]) -> None:
        """Begins what an operator asks for, which may wait for leases."""

        async def begin() -> None:
            async def refused_or_done() -> None:
                # The invariants say what must not have happened.
                with suppress(ServingError):
                    await order

            self.waiting.append(asyncio.create_task(refused_or_done()))
            await settle_loop(60)

        self.runner.run(begin())

    @rule(version=VERSIONS, good=st.booleans(), partial=st.booleans())
    def copy(self, version: int, *, good: bool, partial: bool) -> None:
        """A version comes or changes, whole or in part."""
        self.stamps += 1
        self.kept.put(version, stamp=str(self.stamps))
        (self.kept.loader.bad.discard if good else self.kept.loader.bad.add)(version)
        key = ("m", version)
        (self.kept.partial.add if partial else self.kept.partial.discard)(key)

    @precondition(lambda self: len(self.kept.files) > 1)
    @rule(version=VERSIONS)
    def remove(self, version: int) -> None:
        """A version goes, but never the last one."""
        if len(self.kept.files) > 1:
            self.kept.files.pop(("m", version), None)
            self.kept.partial.discard(("m", version))

    @rule(broken=st.booleans())
    def break_repository(self, *, broken: bool) -> None:
        """The volume is gone, or back."""
        self.kept.fault = OSError("gone") if broken else None

    @rule(looks=st.integers(1, 4))
    def poll(self, looks: int) -> None:
        """Time passes."""
        self.runner.run(self.kept.pass_time(looks))

    @rule(policy=st.sampled_from(POLICIES), label=st.none() | VERSIONS | SPLITS)
    def reload(self, policy: VersionPolicy, label: Target | None) -> None:
        """The configuration changes."""
        self.kept.policy = policy
        self.kept.labels = {} if label is None else {"m": {"stable": label}}
        self.runner.run(self.kept.keeper.take_sources(self.kept.sources()))
        self.settle()

    @rule(version=st.none() | VERSIONS)
    def load(self, version: int | None) -> None:
        """An operator loads."""
        self.ask(self.orders.load("m", version))

    @rule(version=st.none() | VERSIONS)
    def unload(self, version: int | None) -> None:
        """An operator unloads."""
        self.unloads = True
        self.ask(self.orders.unload("m", version))

    @rule()
    def roll_back(self) -> None:
        """An operator goes back."""
        self.ask(self.orders.roll_back("m"))

    @rule(stands_for=st.none() | VERSIONS | SPLITS)
    def label(self, stands_for: Target | None) -> None:
        """An operator moves a label."""

        async def move() -> None:
            self.orders.set_labels("m", {"stable": stands_for})

        self.ask(move())

    @rule(version=VERSIONS, stuck=st.booleans())
    def hang(self, version: int, *, stuck: bool) -> None:
        """A device gives no sign of life, or does again."""
        if version in self.kept.keeper.states("m"):
            self.kept.versions.follow_trouble("m", version, "it hangs" if stuck else "")

    @rule(version=st.none() | VERSIONS, label=st.none() | st.just("stable"), key=st.text())
    def lease(self, version: int | None, label: str | None, key: str) -> None:
        """A caller is let in."""
        stack = ExitStack()
        try:
            selector = ModelSelector("m", version=version, label=label, key=key)
            model = stack.enter_context(self.kept.versions.lease(selector))
        except ServingError:
            return
        assert self.kept.keeper.states("m")[model.version] is VersionState.READY
        self.held.append((model.version, stack))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """A caller is answered."""
        _, stack = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        stack.close()
        self.settle()

    @invariant()
    def what_answers_stays_until_something_else_answers(self) -> None:
        """Without an operator who unloads, and with a device that works, somebody answers."""
        states = self.kept.keeper.states("m")
        can_answer = [each for each in states.values() if each in HOLDING[:2]]
        assert self.unloads or can_answer

    @invariant()
    def nobody_loses_the_version_that_is_held(self) -> None:
        """A lease outlives every order."""
        states = self.kept.keeper.states("m")
        assert all(states.get(version) in HOLDING for version, _ in self.held)

    @invariant()
    def nothing_that_is_not_whole_was_loaded(self) -> None:
        """As far as it was so when somebody looked."""
        seen = self.kept.keeper.seen
        states = self.kept.keeper.states("m")
        for (_, version), each in seen.items():
            if each.lying.partial and not self.kept.keeper.has_changed(("m", version)):
                assert states.get(version) in (None, VersionState.UNLOADED, *HOLDING)

    @invariant()
    def labels_stand_for_what_is_known(self) -> None:
        """A label never leads nowhere."""
        assert self.kept.versions.labels.versions("m") <= set(self.kept.keeper.states("m"))

    def teardown(self) -> None:
        """When everybody is answered and nothing changes any more, nobody waits for anything."""
        for _, stack in self.held:
            stack.close()
        self.kept.fault = None
        self.runner.run(self.kept.pass_time(5))
        assert all(task.done() for task in self.waiting)
        assert all(task.exception() is None for task in self.waiting)
        states = set(self.kept.keeper.states("m").values())
        assert not states & {VersionState.LOADING, VersionState.DRAINING}
        assert not self.kept.life.unforeseen
        self.kept.keeper.end()
        self.runner.close()


TestRepository = Repository.TestCase
TestRepository.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
