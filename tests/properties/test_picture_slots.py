"""Whatever comes and goes, each picture has one fate, and no slot and no memory is lost."""

import asyncio
from collections import Counter
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof_server.base.errors import BackendFailed, ModelNotReady
from support.fakes import settle_loop
from support.picture_lanes import DecodingPlace

Step: TypeAlias = tuple[str, int]
_HALF = 4
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "ask", "ask", "leave", "answer", "answer", "join", "lose", "wait")),
        st.integers(0, 7),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_each_picture_has_one_fate_and_no_slot_is_lost(steps: list[Step]) -> None:
    asyncio.run(_play(steps))


async def _play(steps: list[Step]) -> None:
    place = DecodingPlace()
    for number, step in enumerate(steps):
        await _act(place, number, *step)
        for lane in place.lanes:
            assert len(lane.records) <= lane.width - lane.slots.room or lane in place.lost
    place.another(2)
    await settle_loop()
    while any(lane.records for lane in place.there):
        for lane in place.there:
            if lane.records:
                lane.run_next()
        await settle_loop()
    _check(place, await asyncio.gather(*place.asked.values(), return_exceptions=True))
    for lane in place.lanes:
        lane.slots.close()


async def _act(place: DecodingPlace, number: int, what: str, which: int) -> None:
    """Does one thing, without a turn of the loop for some."""
    lanes = place.there
    if what == "ask":
        await place.ask(f"{number};".encode() * (1 + which))
    elif what == "leave" and (files := _asking(place, only_unsent=which < _HALF)):
        place.asked[files[which % len(files)]].cancel()
    elif what == "join":
        place.another(which % 3)
    elif what == "lose" and lanes:
        place.lose(lanes[which % len(lanes)])
    elif what == "answer" and (busy := [lane for lane in lanes if lane.records]):
        busy[which % len(busy)].run_next()
    elif what == "wait":
        place.clock.advance(which)
    if which % 2:
        await settle_loop()


def _asking(place: DecodingPlace, *, only_unsent: bool) -> list[bytes]:
    return [
        file
        for file, task in place.asked.items()
        if not task.done() and not (only_unsent and file in place.sent)
    ]


def _check(place: DecodingPlace, fates: list[object]) -> None:
    over = Counter(place.over)
    assert set(over.values()) <= {1}
    for file, fate in zip(place.asked, fates, strict=True):
        if isinstance(fate, BaseException):
            assert isinstance(fate, ModelNotReady | BackendFailed | asyncio.CancelledError)
        else:
            assert over[file] == 1
    assert place.sent == set(over)
    assert all(lane.slots.room == lane.width for lane in place.there)
