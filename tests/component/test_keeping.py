"""The repository changes, and the loaded versions follow."""

import asyncio

import pytest

from batchproof_server.base.errors import Draining
from batchproof_server.base.events import RepositoryLooked
from batchproof_server.models.looking import Sources
from batchproof_server.models.policies import RepositorySettings, VersionPolicy
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.version_states import VersionState
from support.fakes import settle_loop
from support.keeping import LATEST, Kept
from support.version_life import served

NEWEST = ModelSelector("m")


async def test_a_new_version_is_loaded_beside_the_old_one_which_then_goes() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.put(2)
    await kept.pass_time()
    assert kept.ready == [2]
    assert kept.news()[-4:] == [(2, "loading"), (2, "ready"), (1, "draining"), (1, "unloaded")]


async def test_the_old_version_answers_until_the_very_change_to_the_new_one() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.loader.is_endless = True
    kept.put(2)
    await kept.pass_time()
    assert kept.in_state(VersionState.LOADING) == [2]
    with kept.versions.lease(NEWEST) as model:
        assert model.version == 1
    kept.keeper.end()


async def test_who_has_the_old_version_keeps_it_until_the_end() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    old = kept.versions.lease(NEWEST)
    with old:
        kept.put(2)
        await kept.pass_time()
        assert kept.versions.select(NEWEST).version == 2
        assert kept.in_state(VersionState.DRAINING) == [1]
        with pytest.raises(Draining), old:
            pass
    await settle_loop(40)
    assert kept.in_state(VersionState.UNLOADED) == [1]


async def test_a_version_that_fails_changes_nothing_and_is_not_tried_again_as_it_is() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.loader.bad = {2}
    kept.put(2)
    await kept.pass_time(10)
    assert kept.ready == [1]
    assert kept.in_state(VersionState.FAILED) == [2]
    assert kept.news().count((2, "failed")) == 1


async def test_a_version_that_failed_is_tried_again_when_its_files_change() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.loader.bad = {2}
    kept.put(2)
    await kept.pass_time()
    kept.loader.bad = set()
    kept.put(2, stamp="mended")
    await kept.pass_time()
    assert kept.ready == [2]


async def test_what_failed_by_chance_is_tried_again_in_time() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.loader.make = lambda _name, _version: 1 / 0  # type: ignore[assignment,return-value] # unforeseen
    kept.put(2)
    await kept.pass_time(30)
    assert kept.in_state(VersionState.FAILED) == [2]
    assert kept.news().count((2, "failed")) == 1
    kept.loader.make = served
    await kept.pass_time(60)
    assert kept.ready == [2]


async def test_a_version_that_is_being_copied_is_not_taken_for_whole() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    for written in "abcdef":
        kept.put(2, stamp=written)
        await kept.pass_time(1)
        assert 2 not in kept.keeper.states("m")
    await kept.pass_time()
    assert kept.ready == [2]


async def test_a_name_that_says_unfinished_is_believed_for_as_long_as_it_is_there() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.put(2)
    kept.partial.add(("m", 2))
    await kept.pass_time(10)
    assert kept.ready == [1]
    kept.partial.clear()
    await kept.pass_time()
    assert kept.ready == [2]


async def test_what_vanished_is_unloaded_and_forgotten() -> None:
    kept = await Kept(policy=VersionPolicy(), poll_s=1.0).begin(1, 2)
    assert kept.ready == [1, 2]
    del kept.files["m", 1]
    await kept.pass_time()
    assert kept.keeper.states("m") == {2: VersionState.READY}


async def test_a_look_that_fails_changes_nothing_and_is_told() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.files.clear()
    kept.fault = OSError("the volume is gone")
    await kept.pass_time()
    assert kept.ready == [1]
    looks = [each for each in kept.life.recorder.events if isinstance(each, RepositoryLooked)]
    assert looks[-1].failure == "the volume is gone"


async def test_a_model_that_cannot_be_read_keeps_its_versions_while_others_move() -> None:
    kept = Kept(poll_s=1.0)
    kept.files["n", 1] = "as it is"
    await kept.begin(1)
    kept.unread = {"m": "the volume of m is gone"}
    kept.files["n", 2] = "as it is"
    await kept.pass_time()
    assert kept.ready == [1]
    assert kept.keeper.states("n")[2] is VersionState.READY


async def test_without_polling_nothing_is_looked_at() -> None:
    kept = await Kept().begin(1)
    kept.put(2)
    await kept.pass_time(10)
    assert kept.ready == [1]


async def test_asked_to_reload_it_looks_until_what_is_new_has_settled() -> None:
    kept = await Kept().begin(1)
    kept.put(2)
    assert await kept.keeper.take_sources(kept.sources()) == ""
    assert kept.ready == [1]
    await kept.pass_time()
    assert kept.ready == [2]


async def test_a_reload_brings_other_policies_and_tries_again_what_failed() -> None:
    kept = Kept()
    kept.loader.bad = {2}
    await kept.begin(1, 2, 3)
    assert kept.ready == [3]
    kept.policy = VersionPolicy(specific=(2,))
    await kept.keeper.take_sources(kept.sources())
    await settle_loop(40)
    assert (kept.ready, kept.in_state(VersionState.FAILED)) == ([3], [2])
    kept.loader.bad = set()
    await kept.keeper.take_sources(kept.sources())
    await settle_loop(40)
    assert kept.ready == [2]


async def test_a_label_of_the_configuration_moves_when_its_version_answers() -> None:
    stable = ModelSelector("m", label="stable")
    kept = await Kept().begin(1)
    kept.labels = {"m": {"stable": 1}}
    await kept.keeper.take_sources(kept.sources())
    await settle_loop(40)
    assert kept.versions.find(stable).version == 1
    kept.loader.is_endless = True
    kept.put(2)
    kept.labels = {"m": {"stable": 2}}
    await kept.keeper.take_sources(kept.sources())
    await kept.pass_time()
    assert kept.versions.find(stable).version == 1
    assert kept.in_state(VersionState.LOADING) == [2]
    kept.keeper.end()


async def test_a_label_that_leaves_the_configuration_goes() -> None:
    kept = await Kept().begin(1)
    settings = RepositorySettings(policy=LATEST)
    for labels in ({"m": {"a": 1, "b": 1}}, {"m": {"a": 1}}):
        await kept.keeper.take_sources(Sources(kept.look, settings, labels))
        await settle_loop(40)
    assert dict(kept.versions.labels.of("m")) == {"a": 1}


async def test_the_end_stops_what_is_under_way() -> None:
    kept = await Kept(poll_s=1.0).begin(1)
    kept.loader.is_endless = True
    kept.put(2)
    await kept.pass_time()
    kept.keeper.end()
    await settle_loop(40)
    assert kept.in_state(VersionState.DISCOVERED) == [2]
    kept.put(3)
    await kept.pass_time(5)
    assert 3 not in kept.keeper.states("m")


async def test_giving_up_the_start_loads_nothing_more() -> None:
    kept = Kept(policy=VersionPolicy())
    kept.loader.is_endless = True
    kept.put(1, 2)
    start = asyncio.create_task(kept.keeper.begin())
    await settle_loop(40)
    start.cancel()
    await settle_loop(40)
    assert kept.in_state(VersionState.LOADING) == []


async def test_where_a_version_is_given_up_the_one_before_answers_and_it_is_tried_again() -> None:
    kept = await Kept().begin(1, 2)
    assert kept.ready == [2]
    kept.versions.give_up("m", 2, "its device keeps failing")
    await settle_loop(60)
    assert kept.ready == [1]
    assert kept.in_state(VersionState.FAILED) == [2]
    kept.clock.advance(60.0)
    await settle_loop(60)
    assert kept.ready == [2]


async def test_a_version_that_is_given_up_again_and_again_is_tried_less_and_less_often() -> None:
    kept = await Kept().begin(1)
    pauses_s = []
    for _ in range(9):
        kept.versions.give_up("m", 1, "its device keeps failing")
        (status,) = kept.versions.statuses()
        assert status.retry_at_s is not None
        pauses_s.append(status.retry_at_s - kept.clock.now_s())
        kept.clock.advance(pauses_s[-1])
        await settle_loop(60)
        assert kept.ready == [1]
    assert pauses_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
