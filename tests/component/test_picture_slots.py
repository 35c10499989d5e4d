"""Pictures that device processes decode: who gets which slot, and what becomes of each picture."""

import os
from collections.abc import Iterator

import pytest

from batchproof_server.base.errors import BackendFailed, InvalidInput, ModelNotReady
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.picture_records import PictureAsked
from batchproof_server.devices.picture_slots import PATIENCE_S
from batchproof_server.devices.records import Tag, pack
from support.fakes import settle_loop
from support.picture_lanes import LIMIT_S, DecodingPlace


@pytest.fixture
def place() -> Iterator[DecodingPlace]:
    made = DecodingPlace()
    yield made
    for lane in made.lanes:
        lane.slots.close()


async def test_pictures_get_their_slots_in_the_order_in_which_they_came(
    place: DecodingPlace,
) -> None:
    lane = place.another(2)
    await place.ask(b"1", b"22", b"333")
    assert len(lane.records) == 2
    lane.run_next()
    await settle_loop()
    assert (await place.value(b"1"), place.over, len(lane.records)) == (1.0, [b"1"], 2)
    lane.run_next()
    lane.run_next()
    assert (await place.value(b"22"), await place.value(b"333")) == (2.0, 3.0)


async def test_a_picture_goes_where_most_room_is(place: DecodingPlace) -> None:
    first, second = place.another(2), place.another(3)
    await place.ask(b"1", b"22", b"333", b"4444")
    assert (len(first.records), len(second.records)) == (2, 2)


async def test_a_refused_picture_and_one_that_fails_spoil_no_other(place: DecodingPlace) -> None:
    lane = place.another(3)
    await place.ask(b"bad", b"fault", b"1")
    for _ in range(3):
        lane.run_next()
    with pytest.raises(InvalidInput, match=r"^corrupt$"):
        await place.asked[b"bad"]
    with pytest.raises(BackendFailed, match=r"could not be decoded.*unforeseen"):
        await place.asked[b"fault"]
    assert await place.value(b"1") == 1.0
    assert sorted(place.over) == [b"1", b"bad", b"fault"]


async def test_who_goes_leaves_the_slot_taken_until_the_device_has_answered(
    place: DecodingPlace,
) -> None:
    lane = place.another()
    await place.ask(b"1", b"22", b"333")
    place.asked[b"1"].cancel()
    place.asked[b"22"].cancel()  # it waits for a slot
    await settle_loop()
    assert (place.over, len(lane.records)) == ([], 1)
    lane.run_next()
    await settle_loop()
    assert (place.over, len(lane.records)) == ([b"1"], 1)
    lane.run_next()
    assert await place.value(b"333") == 3.0


async def test_who_is_lost_with_a_process_hears_of_it_and_who_waits_gets_the_next_one(
    place: DecodingPlace,
) -> None:
    lane = place.another(2)
    await place.ask(b"1", b"22", b"333")
    place.lose(lane)
    await settle_loop()
    for file in (b"1", b"22"):
        with pytest.raises(ModelNotReady, match="was lost"):
            await place.asked[file]
    assert sorted(place.over) == [b"1", b"22"]
    successor = place.another()
    await settle_loop()
    successor.run_next()
    assert await place.value(b"333") == 3.0


async def test_a_slot_that_was_given_for_a_lost_process_says_so(place: DecodingPlace) -> None:
    lane = place.another()
    slots, number = await place.decoding.turn()
    place.lose(lane)
    asked = PictureAsked(1, is_watched=False, is_large=False, views=b"")
    with pytest.raises(ModelNotReady):
        await slots.decode(number, b"1", asked, lambda: place.over.append(b"1"))
    slots.give_back(number)
    assert (place.over, slots.room) == ([b"1"], 0)


async def test_a_file_that_finds_no_memory_leaves_its_slot(
    place: DecodingPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = place.another()
    with monkeypatch.context() as full:
        full.setattr(Arena, "write", _raise_no_memory)
        await place.ask(b"1")
        with pytest.raises(OSError, match="no memory"):
            await place.asked[b"1"]
    await place.ask(b"22")
    lane.run_next()
    assert (await place.value(b"22"), place.over) == (2.0, [b"1", b"22"])


def _raise_no_memory(*_: object) -> None:
    raise OSError("no memory")


async def test_who_goes_in_the_moment_in_which_a_slot_is_given_leaves_it_to_the_next(
    place: DecodingPlace,
) -> None:
    lane = place.another()
    await place.ask(b"1", b"22", b"333")
    lane.run_next()  # gives the slot to the second, which has not resumed yet
    place.asked[b"22"].cancel()
    await settle_loop()
    lane.run_next()
    assert await place.value(b"333") == 3.0


async def test_when_no_process_comes_back_those_who_wait_are_refused_until_one_does(
    place: DecodingPlace,
) -> None:
    await place.ask(b"1")
    place.lose(place.another(0))
    place.clock.advance(PATIENCE_S - 1)
    await place.ask(b"22")
    assert not place.asked[b"1"].done()
    place.clock.advance(1)
    await place.ask(b"333")
    for file in (b"1", b"22", b"333"):
        with pytest.raises(ModelNotReady, match="being started again"):
            await place.asked[file]
    lane = place.another()
    await place.ask(b"4444")
    lane.run_next()
    assert await place.value(b"4444") == 4.0
    place.clock.advance(PATIENCE_S)
    await place.ask(b"55555")
    assert len(lane.records) == 1


async def test_as_many_slots_are_given_as_there_are_however_many_processes_were_lost(
    place: DecodingPlace,
) -> None:
    for _ in range(3):
        place.lose(place.another(2))
    lane = place.another(2)
    await place.ask(*(b"x" * length for length in range(1, 9)))
    for done in range(1, 9):
        assert len(lane.records) == min(2, 9 - done)
        lane.run_next()
        await settle_loop()
    assert [await place.value(file) for file in place.asked] == list(range(1, 9))


async def test_a_process_that_does_not_end_a_picture_in_time_is_ended(place: DecodingPlace) -> None:
    lane = place.another(2)
    await place.ask(b"1")
    place.clock.advance(LIMIT_S / 2)
    await place.ask(b"22")
    place.clock.advance(LIMIT_S / 2)
    assert lane.hung == 1
    with pytest.raises(BackendFailed, match="max_execution_s"):
        await place.asked[b"1"]
    with pytest.raises(ModelNotReady):
        await place.asked[b"22"]
    assert sorted(place.over) == [b"1", b"22"]


async def test_a_process_that_is_quick_enough_is_left_alone(place: DecodingPlace) -> None:
    lane = place.another()
    for _ in range(4):
        await place.ask(b"1")
        place.clock.advance(LIMIT_S - 1)
        lane.run_next()
        await place.asked[b"1"]
    place.clock.advance(LIMIT_S)
    assert lane.hung == 0


@pytest.mark.parametrize(
    "record",
    [
        b"",
        pack(Tag.MADE, 0, b"short"),
        pack(Tag.MADE, 1),
        pack(Tag.UNFIT, 7, b"nobody asked"),
        pack(Tag.DONE, 0),
    ],
)
async def test_what_cannot_be_is_not_believed(place: DecodingPlace, record: bytes) -> None:
    lane = place.another(2)
    await place.ask(b"1")
    number = place.lanes[0].records[0][1]
    said = record if len(record) < 2 else record[:1] + bytes([record[1] ^ number]) + record[2:]
    with pytest.raises(ValueError, match=r"."):
        lane.slots.receive(said)
    assert place.over == []
    lane.run_next()
    assert await place.value(b"1") == 1.0


async def test_what_a_large_picture_took_is_given_back(place: DecodingPlace) -> None:
    lane = place.another()
    descriptor = lane.slots._slots[0].descriptor
    await place.ask(bytes(9 << 20))
    lane.run_next()
    assert await place.value(bytes(9 << 20)) == float(9 << 20)
    assert _held_bytes(descriptor) <= 5 << 20
    await place.ask(bytes(8 << 20))
    lane.run_next()
    assert await place.value(bytes(8 << 20)) == float(8 << 20)


def _held_bytes(descriptor: int) -> int:
    return os.fstat(descriptor).st_blocks * 512
