"""The life of versions, and which version answers."""

import asyncio
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.errors import (
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
    ServingError,
)
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import NEXT, VersionState
from batchproof_server.models.versions import Versions
from support.engine_bench import engine_bench
from support.fakes import ElementwiseBackend, FakeClock, PuppetDevice, settle_loop
from support.version_life import REFUSED, FakeLoader, Life, place

DISCOVERED, LOADING, READY, STUCK, DRAINING, UNLOADED, FAILED = VersionState


def versions(*numbers: int, name: str = "m", labels: Any = None) -> Versions:
    return Life(tuple(place(number, name) for number in numbers), labels or {}).versions


REFUSALS: dict[VersionState, type[ServingError]] = {
    DISCOVERED: ModelNotReady,
    LOADING: ModelNotReady,
    STUCK: ModelNotReady,
    FAILED: ModelRefused,
    DRAINING: Draining,
    UNLOADED: ModelNotFound,
}


@pytest.mark.parametrize("state", VersionState)
async def test_only_a_ready_version_answers_and_the_others_say_why(state: VersionState) -> None:
    life = Life()
    models = life.versions
    await life.bring(1, state)
    (status,) = models.statuses()
    assert status.state is state
    assert (len(models.ready()), len(models.loaded())) == (
        state is READY,
        state in (READY, STUCK, DRAINING),
    )
    if state is READY:
        assert models.select(ModelSelector("m")).version == 1
        with models.lease(ModelSelector("m")) as leased:
            assert leased is models.select(ModelSelector("m"))
        return
    with pytest.raises(REFUSALS[state], match='model "m" version 1'):
        models.lease(ModelSelector("m", version=1))
    with pytest.raises(REFUSALS[state], match='model "m" version 1') as refused:
        models.select(ModelSelector("m", version=1))
    if isinstance(refused.value, ModelRefused):
        assert refused.value.findings == ("why",)
        assert str(refused.value).endswith("failed: why")


@pytest.mark.parametrize("state", VersionState)
async def test_a_state_changes_only_as_the_table_allows(state: VersionState) -> None:
    life = Life()
    await life.bring(1, state)
    life.loader.is_endless = False
    if LOADING in NEXT[state]:
        assert (await life.versions.load(place())).state in (READY, FAILED)
        return
    with pytest.raises(ValueError, match=f"that is {state} cannot become loading"):
        await life.versions.load(place())
    assert life.state() is state


@pytest.mark.parametrize(("older", "newer"), [*product(VersionState, repeat=2)])
async def test_by_default_the_newest_of_the_most_hopeful_state_is_meant(
    older: VersionState, newer: VersionState
) -> None:
    hope = [{UNLOADED}, {FAILED}, {DISCOVERED, LOADING}, {DRAINING}, {STUCK}, {READY}]
    life = Life((place(1), place(2)))
    await life.bring(1, older)
    await life.bring(2, newer)
    found = life.versions.find(ModelSelector("m"))
    ranks = [rank for state in (older, newer) for rank, each in enumerate(hope) if state in each]
    assert found.version == (1 if ranks[0] > ranks[1] else 2)


async def test_each_change_is_one_news_and_there_is_no_other() -> None:
    life = Life(loader=FakeLoader(failure=REFUSED))
    life.versions.announce()
    await life.versions.load(place())
    life.loader.failure = None
    await life.versions.load(place())
    life.versions.follow_trouble("m", 1, "it hangs")
    life.versions.follow_trouble("m", 1, "")
    await life.versions.unload("m", 1)
    await life.versions.load(place())
    assert life.news == [
        (None, DISCOVERED),
        (DISCOVERED, LOADING),
        (LOADING, FAILED),
        (FAILED, LOADING),
        (LOADING, READY),
        (READY, STUCK),
        (STUCK, READY),
        (READY, DRAINING),
        (DRAINING, UNLOADED),
        (UNLOADED, LOADING),
        (LOADING, READY),
    ]
    assert len(life.recorder.events) == len(life.news)


async def test_the_news_says_what_was_loaded_until_it_is_over() -> None:
    life = Life()
    await life.versions.load(place())
    await life.versions.unload("m", 1)
    events = [each for each in life.recorder.events if isinstance(each, VersionChanged)]
    assert [each.facts.model_digest for each in events] == ["", "digest", "digest", "digest"]
    (status,) = life.versions.statuses()
    assert (status.served, status.facts.model_digest) == (None, "")


async def test_what_loading_takes_is_said_when_it_is_over() -> None:
    clock = FakeClock()
    life = Life(clock=clock, loader=FakeLoader(is_endless=True))
    loading = asyncio.create_task(life.versions.load(place()))
    await settle_loop()
    clock.advance(3.0)
    loading.cancel()
    await asyncio.wait({loading})
    taken = [each.duration_s for each in life.recorder.events if isinstance(each, VersionChanged)]
    assert taken == [0.0, 3.0]


async def test_a_loading_that_is_given_up_can_be_done_again() -> None:
    life = Life(loader=FakeLoader(is_endless=True, steps=("read", "probes")))
    loading = asyncio.create_task(life.versions.load(place()))
    await settle_loop()
    (status,) = life.versions.statuses()
    assert (status.state, status.step) == (LOADING, "probes")
    with pytest.raises(ValueError, match="that is loading cannot become unloaded"):
        await life.versions.unload("m", 1)
    loading.cancel()
    await asyncio.wait({loading})
    assert life.state() is DISCOVERED
    life.loader.is_endless = False
    assert (await life.versions.load(place())).state is READY


async def test_a_failure_that_nobody_foresaw_is_told_and_not_shown() -> None:
    failure = RuntimeError("secret")
    clock = FakeClock()
    life = Life(loader=FakeLoader(failure=failure), clock=clock)
    status = await life.versions.load(place())
    assert status.state is FAILED
    assert status.findings == ("the server failed while loading it; its log has more",)
    assert status.retry_at_s is not None
    assert status.retry_at_s > clock.now_s()
    assert life.unforeseen == [failure]


async def test_a_refusal_is_worth_no_second_try_as_it_is() -> None:
    life = Life(loader=FakeLoader(failure=ModelRefused("only a sentence")))
    status = await life.versions.load(place())
    assert (status.findings, status.retry_at_s) == (("only a sentence",), None)
    await life.versions.unload("m", 1)
    assert life.state() is UNLOADED


async def test_a_version_that_nobody_knew_can_be_loaded() -> None:
    life = Life()
    await life.versions.load(place(7, "new"))
    assert life.news[:2] == [(None, DISCOVERED), (DISCOVERED, LOADING)]
    assert life.versions.select(ModelSelector("new")).version == 7
    with pytest.raises(ModelNotFound, match='there is no model "other"'):
        await life.versions.unload("other", 1)


async def test_an_unloading_that_was_given_up_goes_on_where_it_was() -> None:
    life = Life()
    await life.versions.load(place())
    with life.versions.lease(ModelSelector("m")):
        first = asyncio.create_task(life.versions.unload("m", 1))
        await settle_loop()
        first.cancel()
        others = [asyncio.create_task(life.versions.unload("m", 1)) for _ in range(2)]
        await settle_loop()
        assert life.state() is DRAINING
        assert not others[0].done()
    await asyncio.gather(*others)
    await life.versions.unload("m", 1)
    assert life.news[-2:] == [(READY, DRAINING), (DRAINING, UNLOADED)]


async def test_a_lease_that_was_not_entered_in_time_is_none() -> None:
    life = Life()
    await life.versions.load(place())
    late = life.versions.lease(ModelSelector("m"))
    await life.versions.unload("m", 1)
    with pytest.raises(Draining, match="is going away"):
        late.__enter__()


async def test_all_labels_of_a_model_change_at_once_or_none() -> None:
    models = versions(1, 2, labels={"m": {"stable": 1, "old": 1}})
    models.labels.move("m", {"stable": 2})
    assert models.find(ModelSelector("m", label="stable")).version == 2
    assert models.labels.on("m", 1) == ()
    with pytest.raises(ModelNotFound, match='"canary" is for version 3 of model "m", which does'):
        models.labels.move("m", {"stable": 1, "canary": 3})
    with pytest.raises(ModelNotFound, match='there is no model "x"'):
        models.labels.move("x", {})
    assert models.labels.on("m", 2) == ("stable",)


@given(st.sets(st.integers(1, 2**63 - 1), min_size=1, max_size=5))
def test_every_version_can_be_asked_for(numbers: set[int]) -> None:
    models = versions(*numbers)
    assert [status.version for status in models.statuses()] == sorted(numbers)
    assert models.find(ModelSelector("m")).version == max(numbers)
    for version in numbers:
        assert models.find(ModelSelector("m", version=version)).version == version


def test_a_label_stands_for_a_version() -> None:
    models = versions(1, 2, labels={"m": {"stable": 1, "old": 1, "canary": 2}})
    assert models.find(ModelSelector("m", label="stable")).version == 1
    assert models.labels.on("m", 1) == ("old", "stable")
    assert models.labels.on("other", 1) == ()
    with pytest.raises(ModelNotFound, match="its labels: canary, old, stable"):
        models.find(ModelSelector("m", label="x"))


@pytest.mark.parametrize("labels", [{"m": {"stable": 3}}, {"x": {"stable": 1}}])
def test_a_label_for_what_does_not_exist_is_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match=r"^version_labels\.[mx]\.stable: there is no version"):
        versions(1, labels=labels)


def test_an_empty_name_means_the_only_model() -> None:
    assert versions(1).find(ModelSelector("")).name == "m"
    assert versions(1, labels={"m": {"a": 1}}).find(ModelSelector("", label="a")).version == 1
    two = Life((place(1, "a"), place(1, "b"))).versions
    with pytest.raises(InvalidInput, match='empty, expected one of "a", "b"'):
        two.find(ModelSelector(""))


def test_a_long_name_is_cut_in_the_answer() -> None:
    with pytest.raises(ModelNotFound) as missing:
        versions(1).find(ModelSelector("x" * 5000))
    assert str(missing.value) == f'there is no model "{"x" * 80}..."; served: "m"'


def test_a_version_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(ModelNotFound, match='model "m" has no version -1; its versions: 1, 12'):
        versions(12, 1).find(ModelSelector("m", version=-1))


async def test_a_served_model_names_its_classes_and_releases_everything() -> None:
    device, backend = PuppetDevice(), ElementwiseBackend(1)
    with engine_bench(backend, device=device) as bench:
        assert bench.model.label(3) == "3"
        bundle = replace(bench.model.loaded.bundle, labels=("cat", "dog"))
        named = replace(bench.model, loaded=replace(bench.model.loaded, bundle=bundle))
        assert named.label(1) == "dog"
        bench.model.close()
        assert backend.is_closed
        with pytest.raises(RuntimeError):
            device.submit(print)
        with pytest.raises(Draining):
            bench.model.batcher.check_room(1)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The versions whose models are closed, in that order."""
    versions: list[int] = []
    monkeypatch.setattr(ServedModel, "close", lambda model: versions.append(model.version))
    return versions


async def test_a_version_that_is_given_up_tells_why_and_is_closed_after_its_last_user(
    closed: list[int],
) -> None:
    life = Life()
    await life.versions.load(place())
    closed.clear()  # what makes the model had one to close
    lease = life.versions.lease(ModelSelector("m"))
    with lease:
        life.versions.give_up("m", 1, "its device keeps failing")
        assert life.versions.find(ModelSelector("m")).state is VersionState.FAILED
        with pytest.raises(ModelRefused, match="its device keeps failing"):
            life.versions.lease(ModelSelector("m"))
        await settle_loop(40)
        assert closed == []
    await settle_loop(40)
    assert closed == [1]


async def test_a_server_that_ends_closes_what_was_given_up_and_is_in_use(
    closed: list[int],
) -> None:
    life = Life()
    await life.versions.load(place())
    closed.clear()
    with life.versions.lease(ModelSelector("m")):
        life.versions.give_up("m", 1, "its device keeps failing")
        await settle_loop(40)
        life.versions.close()
        assert closed == [1]


async def test_a_version_that_goes_away_already_is_not_given_up() -> None:
    life = Life()
    await life.versions.load(place())
    life.versions.start_draining()
    life.versions.give_up("m", 1, "its device keeps failing")
    assert life.versions.find(ModelSelector("m")).state is VersionState.DRAINING
