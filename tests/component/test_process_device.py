"""What holds for the device that is a process, beside what holds for all: losses, and their end."""

import numpy as np
import pytest

from batchproof_server.base.errors import ModelNotReady, ModelRefused
from batchproof_server.devices.child import Loss
from batchproof_server.devices.device import DeviceState, Executed, NotExecuted
from batchproof_server.devices.records import Tag, pack
from batchproof_server.devices.restarting import PATIENCE_S, Process
from support.device_places import FakeProcess, ProcessPlace, execute, state
from support.fakes import settle_loop

CRASHED = Loss("crashed", "was ended by SIGKILL")


async def test_who_is_lost_with_an_execution_fails_it_as_not_ready_in_a_later_turn() -> None:
    place = ProcessPlace()
    execute(place)
    place.processes[0].kill(CRASHED)
    assert place.finished == []
    assert state(place) is DeviceState.LOADING
    await settle_loop()
    (lost,) = place.finished
    assert isinstance(lost, NotExecuted)
    assert isinstance(lost.cause, ModelNotReady)
    assert place.losses == [CRASHED]


async def test_another_process_takes_over_at_once_and_is_told_of() -> None:
    place = ProcessPlace()
    place.processes[0].kill(CRASHED)
    assert not place.device.room
    await settle_loop()
    assert (state(place), place.told, place.away_s) == (DeviceState.IDLE, [""], [0.0])
    execute(place, 2.0)
    place.run_next()
    (executed,) = place.finished
    assert isinstance(executed, Executed)
    assert executed.parts[0]["y"].tolist() == [[5.0]]


async def test_a_process_that_hangs_is_ended_when_its_execution_is_given_up() -> None:
    place = ProcessPlace()
    execute(place)
    place.device.cancel()
    assert place.processes[0].ended == "hung"
    await settle_loop()
    assert len(place.processes) == 2


async def test_one_that_is_lost_soon_again_is_waited_for_longer_and_longer() -> None:
    place = ProcessPlace()
    pauses_s = []
    for _ in range(4):
        place.processes[-1].kill(CRASHED)
        await settle_loop()
        pauses_s.append(_until_it_stands(place))
        place.clock.advance(pauses_s[-1])
        await settle_loop()
        assert state(place) is DeviceState.IDLE
    assert pauses_s == [0.0, 1.0, 2.0, 4.0]
    assert place.told[:3] == ["", "the device was lost and is being started again", ""]


async def test_after_a_minute_without_a_loss_the_next_one_is_replaced_at_once() -> None:
    place = ProcessPlace()
    for _ in range(3):
        place.processes[-1].kill(CRASHED)
        await settle_loop()
        place.clock.advance(_until_it_stands(place))
        await settle_loop()
    place.clock.advance(60.0)
    place.processes[-1].kill(CRASHED)
    await settle_loop()
    assert state(place) is DeviceState.IDLE


async def test_replacing_waits_for_nothing() -> None:
    place = ProcessPlace()
    for _ in range(2):
        place.processes[-1].kill(CRASHED)
        await settle_loop()
    assert state(place) is DeviceState.LOADING
    place.device.replace()
    await settle_loop()
    assert state(place) is DeviceState.IDLE


async def test_who_does_not_come_to_stand_is_tried_again_and_told_of() -> None:
    place = ProcessPlace()
    place.start = _refuse
    place.processes[0].kill(CRASHED)
    await settle_loop()
    assert [str(each) for each in place.failures] == ["no room"]
    place.start = place.stand
    place.clock.advance(1.0)
    await settle_loop()
    assert state(place) is DeviceState.IDLE


async def test_trouble_is_told_of_only_once_it_takes_long() -> None:
    place = ProcessPlace()
    started: list[FakeProcess] = []

    async def slowly() -> Process:
        while not started:
            await settle_loop(1)
        return started[0]

    place.start = slowly
    place.processes[0].kill(CRASHED)
    await settle_loop()
    assert place.told == []
    place.clock.advance(PATIENCE_S)
    assert place.told == ["the device was lost and is being started again"]
    started.append(place.another())
    await settle_loop()
    assert place.told[-1] == ""
    assert place.away_s == [PATIENCE_S]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"no record",
        pack(Tag.DONE, 1, b"short"),
        pack(Tag.DONE, 1, np.array([3, 1], "<i8").tobytes()),  # rows of another bucket
        pack(Tag.DONE, 1, np.array([2, 1 << 62], "<i8").tobytes()),
        pack(Tag.DONE, 7, np.array([2, 1], "<i8").tobytes()),
        pack(Tag.LOADED, 1),
    ],
)
async def test_a_process_that_says_what_cannot_be_is_ended(record: bytes) -> None:
    place = ProcessPlace()
    execute(place)
    place.processes[0].listener.receive(record)
    assert place.processes[0].ended == "crashed"
    await settle_loop()
    assert [type(each) for each in place.finished] == [NotExecuted]


async def test_closing_while_another_is_started_starts_none() -> None:
    place = ProcessPlace()
    place.processes[0].kill(CRASHED)
    place.device.close()
    await settle_loop()
    assert state(place) is DeviceState.GONE
    assert len(place.processes) == 1


async def test_closing_ends_the_process_and_fails_what_it_executes() -> None:
    place = ProcessPlace()
    execute(place)
    place.device.close()
    assert place.processes[0].ended == "in order"
    await settle_loop()
    assert [type(each) for each in place.finished] == [NotExecuted]


def _until_it_stands(place: ProcessPlace) -> float:
    """How long the device waits before it starts another; 0 when it stands."""
    if state(place) is DeviceState.IDLE:
        return 0.0
    return place.clock.alarms_s[0] - place.clock.now_s()


async def _refuse() -> Process:
    raise ModelRefused("no room")


async def test_failures_in_a_row_are_told_of_and_count_anew_after_a_minute() -> None:
    place = ProcessPlace()
    for _ in range(2):
        place.processes[-1].kill(CRASHED)
        await settle_loop()
        place.clock.advance(_until_it_stands(place))
        await settle_loop()
    place.clock.advance(60.0)
    place.processes[-1].kill(CRASHED)
    await settle_loop()
    assert place.in_a_row == [1, 2, 1]
