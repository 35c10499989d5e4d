"""What operators ask for, and what becomes of it."""

import asyncio

import pytest

from batchproof_server.base.errors import (
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
)
from batchproof_server.models.orders import Orders
from batchproof_server.models.overview import overview
from batchproof_server.models.policies import VersionPolicy
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.version_states import VersionState
from support.fakes import settle_loop
from support.keeping import Kept

NEWEST = ModelSelector("m")
STABLE = ModelSelector("m", label="stable")


async def begun(*versions: int, poll_s: float = 0.0) -> tuple[Kept, Orders]:
    kept = await Kept(poll_s=poll_s).begin(*versions)
    return kept, Orders(kept.keeper)


async def test_a_version_is_loaded_beside_those_that_the_policy_wants() -> None:
    kept, orders = await begun(1, 2)
    await orders.load("m", 1)
    assert kept.ready == [1, 2]
    assert kept.versions.select(NEWEST).version == 2


async def test_a_version_that_has_just_been_copied_is_loaded_at_once() -> None:
    kept, orders = await begun(1)
    kept.put(2)
    await orders.load("m", 2)
    await settle_loop(40)
    assert kept.ready == [2]


async def test_a_version_that_cannot_be_loaded_changes_nothing() -> None:
    kept, orders = await begun(2)
    kept.loader.bad = {3}
    kept.put(3)
    for _ in range(2):
        with pytest.raises(ModelRefused, match='model "m" version 3 failed to load: why'):
            await orders.load("m", 3)
    assert kept.ready == [2]
    assert kept.news().count((3, "failed")) == 2
    assert not kept.keeper.said["m"]


async def test_half_a_copy_is_not_loaded_whoever_asks() -> None:
    kept, orders = await begun(1)
    kept.put(2)
    kept.partial.add(("m", 2))
    with pytest.raises(ModelNotReady, match=r'still being copied: its file "a\.part"'):
        await orders.load("m", 2)


async def test_what_an_operator_unloads_stays_unloaded() -> None:
    kept, orders = await begun(1, 2, poll_s=1.0)
    await orders.unload("m", 2)
    await settle_loop(40)
    await kept.pass_time(5)
    assert kept.ready == [1]
    await orders.load("m", 2)
    assert 2 in kept.ready


async def test_a_whole_model_is_unloaded_and_loaded_again() -> None:
    kept, orders = await begun(1, 2, poll_s=1.0)
    await orders.unload("m")
    await kept.pass_time(5)
    assert kept.ready == []
    await orders.load("m")
    assert kept.ready == [2]


async def test_a_version_is_unloaded_while_it_is_loaded() -> None:
    kept, orders = await begun(1)
    kept.loader.is_endless = True
    kept.put(2)
    loading = asyncio.create_task(orders.load("m", 2))
    await settle_loop(40)
    assert kept.in_state(VersionState.LOADING) == [2]
    await orders.unload("m", 2)
    with pytest.raises(ModelNotReady, match="version 2 was unloaded meanwhile"):
        await loading
    assert kept.ready == [1]
    assert kept.in_state(VersionState.UNLOADED) == [2]


async def test_who_unloads_is_told_when_somebody_loads_meanwhile() -> None:
    kept, orders = await begun(1)
    with kept.versions.lease(NEWEST):
        unloading = asyncio.create_task(orders.unload("m"))
        await settle_loop(40)
        loading = asyncio.create_task(orders.load("m"))
        await settle_loop(40)
    await loading
    with pytest.raises(ModelNotReady, match="asked for again"):
        await unloading
    assert kept.ready == [1]


async def test_rolling_back_brings_the_version_before_and_its_labels() -> None:
    kept, orders = await begun(1, 2, 3, poll_s=1.0)
    orders.set_labels("m", {"stable": 3})
    assert await orders.roll_back("m") == (2, 3)
    await settle_loop(40)
    assert kept.ready == [2]
    assert kept.versions.find(STABLE).version == 2
    await kept.pass_time(5)
    assert kept.ready == [2]
    kept.put(4)
    await kept.pass_time()
    assert kept.versions.select(NEWEST).version == 4


async def test_rolling_back_twice_goes_back_by_two() -> None:
    kept, orders = await begun(1, 2, 3)
    assert await orders.roll_back("m") == (2, 3)
    assert await orders.roll_back("m") == (1, 2)
    await settle_loop(40)
    assert kept.ready == [1]
    with pytest.raises(InvalidInput, match="version 1 is the oldest"):
        await orders.roll_back("m")


async def test_rolling_back_to_a_version_that_fails_changes_nothing() -> None:
    kept, orders = await begun(1, 2)
    orders.set_labels("m", {"stable": 2})
    kept.loader.bad = {1}
    with pytest.raises(ModelRefused, match="version 1 failed to load"):
        await orders.roll_back("m")
    await settle_loop(40)
    assert kept.ready == [2]
    assert kept.versions.find(STABLE).version == 2


async def test_the_old_answer_is_given_until_the_version_before_is_there() -> None:
    kept, orders = await begun(1, 2)
    kept.loader.is_endless = True
    rolling = asyncio.create_task(orders.roll_back("m"))
    await settle_loop(40)
    assert kept.versions.select(NEWEST).version == 2
    rolling.cancel()
    kept.keeper.end()


async def test_a_label_stands_only_for_what_answers_and_keeps_it_loaded() -> None:
    kept, orders = await begun(1, poll_s=1.0)
    orders.set_labels("m", {"stable": 1})
    kept.put(2)
    await kept.pass_time()
    assert kept.ready == [1, 2]
    with pytest.raises(InvalidInput, match='"stable" stands for version 1'):
        await orders.unload("m", 1)
    assert dict(orders.set_labels("m", {"stable": 2, "canary": 2})) == {"stable": 2, "canary": 2}
    await settle_loop(40)
    assert kept.ready == [2]
    assert dict(orders.set_labels("m", {"canary": None, "never": None})) == {"stable": 2}


async def test_labels_move_together_or_not_at_all() -> None:
    kept, orders = await begun(1, 2)
    with pytest.raises(ModelNotReady, match="version 1 is not loaded"):
        orders.set_labels("m", {"canary": 2, "stable": 1})
    with pytest.raises(ModelNotFound, match="no version 7"):
        orders.set_labels("m", {"canary": 2, "stable": 7})
    for label in ("", "x" * 65, "a\nb"):
        with pytest.raises(InvalidInput, match="the label"):
            orders.set_labels("m", {"canary": 2, label: 2})
    with pytest.raises(InvalidInput, match="65 labels, expected 64 at most"):
        orders.set_labels("m", {str(each): 2 for each in range(65)})
    assert dict(kept.versions.labels.of("m")) == {}


@pytest.mark.parametrize("model", ["", "x", "m/../n"])
async def test_a_model_that_does_not_lie_there_is_named_beside_those_that_do(model: str) -> None:
    _, orders = await begun(1)
    for order in (orders.load(model), orders.unload(model), orders.roll_back(model)):
        with pytest.raises((ModelNotFound, InvalidInput), match='"m"'):
            await order


async def test_other_policies_bring_other_versions_and_end_other_models() -> None:
    kept = Kept()
    kept.files["n", 1] = "as it is"
    await kept.begin(1, 2)
    orders = Orders(kept.keeper)
    await orders.follow_policies({"m": VersionPolicy(specific=(1,))}, {"m": {"stable": 1}})
    await settle_loop(40)
    assert kept.ready == [1]
    assert kept.versions.find(STABLE).version == 1
    assert kept.keeper.states("n") == {1: VersionState.UNLOADED}
    with pytest.raises(ModelNotFound, match='no model "x"'):
        await orders.follow_policies({"x": VersionPolicy()}, {})
    assert kept.ready == [1]


async def test_who_waits_when_the_server_ends_is_told() -> None:
    kept, orders = await begun(1)
    kept.loader.is_endless = True
    kept.put(2)
    loading = asyncio.create_task(orders.load("m", 2))
    await settle_loop(40)
    kept.keeper.end()
    with pytest.raises(Draining):
        await loading


async def test_the_overview_shows_what_lies_there_and_what_is_known() -> None:
    kept, orders = await begun(1, 2)
    kept.put(2, stamp="changed")
    kept.put(3)
    kept.partial.add(("m", 3))
    orders.set_labels("m", {"stable": 2})
    await kept.keeper.look()
    one, two, three = overview(kept.keeper)
    assert (one.status, one.is_default, one.labels) == (None, False, ())
    assert two.status is not None
    assert two.status.state is VersionState.READY
    assert (two.is_default, two.labels, two.is_changed) == (True, ("stable",), True)
    assert three.seen is not None
    assert not three.seen.is_whole
    assert overview(kept.keeper, "other") == ()
