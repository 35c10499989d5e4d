"""What holds for every device: busy, given up, replaced, gone."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from batchproof_server.base.errors import ModelRaised
from batchproof_server.base.signature import Tensors
from batchproof_server.devices.device import DeviceState, Executed, NotExecuted
from support.batcher_bench import tensors
from support.device_places import DevicePlace, ProcessPlace, ThreadPlace, execute, state
from support.fakes import ElementwiseBackend, settle_loop

MakePlace: TypeAlias = Callable[..., DevicePlace]


@pytest.fixture(params=[ThreadPlace, ProcessPlace])
def make_place(request: pytest.FixtureRequest) -> MakePlace:
    """Each kind of device in turn; made on the loop."""
    make: MakePlace = request.param
    return make


async def test_it_is_busy_until_its_answer_is_told(make_place: MakePlace) -> None:
    place = make_place()
    execute(place)
    assert state(place) is DeviceState.BUSY
    assert not place.device.room
    place.run_next()
    await settle_loop()
    assert state(place) is DeviceState.IDLE
    (executed,) = place.finished
    assert isinstance(executed, Executed)
    assert executed.parts[0]["y"].tolist() == [[3.0]]


async def test_parts_are_padded_with_the_last_row_and_each_gets_its_own(
    make_place: MakePlace,
) -> None:
    place = make_place()
    place.device.execute((tensors(1.0), tensors(2.0)), 4, place.finished.append)
    place.run_next()
    await settle_loop()
    (executed,) = place.finished
    assert isinstance(executed, Executed)
    assert [part["y"].tolist() for part in executed.parts] == [[[3.0]], [[5.0]]]
    assert place.backend.batches[0][:, 0].tolist() == [1.0, 2.0, 2.0, 2.0]


async def test_an_answer_stays_what_it_was_when_the_next_one_comes(make_place: MakePlace) -> None:
    place = make_place()
    for value in (1.0, 2.0):
        execute(place, value)
        place.run_next()
        await settle_loop()
    first, second = place.finished
    assert isinstance(first, Executed)
    assert isinstance(second, Executed)
    assert first.parts[0]["y"].tolist() == [[3.0]]
    assert second.parts[0]["y"].tolist() == [[5.0]]


async def test_what_is_given_up_is_told_once_and_the_device_comes_back(
    make_place: MakePlace,
) -> None:
    place = make_place()
    execute(place)
    place.device.cancel()
    assert place.finished == []
    assert state(place) in (DeviceState.STUCK, DeviceState.LOADING)
    assert not place.device.room
    await settle_loop()
    assert [type(each) for each in place.finished] == [NotExecuted]
    place.come_back()
    await settle_loop()
    assert state(place) is DeviceState.IDLE
    assert place.told == [""]
    assert len(place.finished) == 1


async def test_a_replaced_device_executes_and_the_late_answer_is_nobodys(
    make_place: MakePlace,
) -> None:
    place = make_place()
    execute(place, 1.0)
    place.device.cancel()
    place.device.replace()
    await settle_loop()
    assert state(place) is DeviceState.IDLE
    execute(place, 2.0)
    place.run_next()
    await settle_loop()
    last = place.finished[-1]
    assert isinstance(last, Executed)
    assert last.parts[0]["y"].tolist() == [[5.0]]
    assert len(place.finished) == 2


async def test_cancelling_and_replacing_an_idle_device_changes_nothing(
    make_place: MakePlace,
) -> None:
    place = make_place()
    place.device.cancel()
    place.device.replace()
    await settle_loop()
    assert (state(place), place.finished, place.told) == (DeviceState.IDLE, [], [])


async def test_a_device_that_is_gone_executes_nothing(make_place: MakePlace) -> None:
    place = make_place()
    place.device.close()
    place.device.close()
    assert state(place) is DeviceState.GONE
    execute(place)
    assert place.finished == []
    await settle_loop()
    assert [type(each) for each in place.finished] == [NotExecuted]


async def test_parts_that_do_not_join_are_a_failure_told_in_a_later_turn(
    make_place: MakePlace,
) -> None:
    place = make_place()
    unlike = {"x": tensors(2.0)["x"].astype("float32")}
    place.device.execute((tensors(1.0), unlike), 2, place.finished.append)
    assert place.finished == []
    if isinstance(place, ThreadPlace):
        place.run_next()
    await settle_loop()
    (failed,) = place.finished
    assert isinstance(failed, NotExecuted)
    assert isinstance(failed.cause, TypeError)
    assert state(place) is DeviceState.IDLE


async def test_a_model_that_raises_says_so_and_the_device_goes_on(make_place: MakePlace) -> None:
    place = make_place(_Raising(1))
    execute(place)
    place.run_next()
    await settle_loop()
    (failed,) = place.finished
    assert isinstance(failed, NotExecuted)
    assert isinstance(failed.cause, ModelRaised)
    assert "of ours" in str(failed.cause)
    assert state(place) is DeviceState.IDLE


class _Raising(ElementwiseBackend):
    def execute(self, inputs: Tensors) -> Tensors:
        raise ModelRaised(f"a failure of ours with {sorted(inputs)}")
