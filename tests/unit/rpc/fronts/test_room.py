"""What the front on the completion queue counts: bytes, patience and reads, without a network."""

from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchproof_server.rpc.fronts.room import Allowance, Patience, Room

LIMIT_BYTES = 100
READING_BYTES = 10
LARGE_BYTES = 30


def unheard() -> None:
    """Nobody wants to know."""


def test_a_read_waits_while_there_is_no_room_for_what_it_counts_as() -> None:
    room = Room(LIMIT_BYTES, READING_BYTES, LARGE_BYTES, unheard)
    assert room.ask(1)
    room.arrived(1, 91)
    assert not room.ask(2)
    assert (room.held_bytes, room.waiting, room.is_waiting(2)) == (91, 1, True)
    room.forget(1)
    assert room.next_reads() == [2]
    assert (room.held_bytes, room.waiting) == (READING_BYTES, 0)


def test_those_who_wait_are_read_in_their_order_and_nobody_passes_them() -> None:
    room = Room(LIMIT_BYTES, READING_BYTES, LARGE_BYTES, unheard)
    room.ask(1)
    room.arrived(1, 95)
    assert [room.ask(2), room.ask(3)] == [False, False]
    room.forget(2)
    room.forget(1)
    assert not room.ask(4)
    assert room.next_reads() == [3, 4]


def test_a_message_larger_than_the_room_is_read_when_nothing_else_is_held() -> None:
    room = Room(5, READING_BYTES, LARGE_BYTES, unheard)
    assert room.ask(1)
    assert not room.ask(2)
    room.forget(1)
    assert room.next_reads() == [2]


def test_each_message_of_a_stream_counts_until_it_was_answered() -> None:
    room = Room(LIMIT_BYTES, READING_BYTES, LARGE_BYTES, unheard)
    for size_bytes in (30, 50):
        assert room.ask(1)
        room.arrived(1, size_bytes)
    room.give_back(1)
    assert room.held_bytes == 50
    room.give_back(1)
    room.give_back(1)
    assert room.held_bytes == 0


def test_there_are_no_reads_to_give_away_while_somebody_waits() -> None:
    room = Room(LIMIT_BYTES, READING_BYTES, LARGE_BYTES, unheard)
    assert room.reads == 10
    room.ask(1)
    assert room.reads == 9
    room.arrived(1, 200)
    room.ask(2)
    assert room.reads == 0


CALLS = st.integers(1, 6)


class Rooms(RuleBasedStateMachine):
    """Whatever happens in whatever order, the sum is that of a plain count."""

    def __init__(self) -> None:
        super().__init__()
        self.over = self.came = 0  # of large messages
        self.room = Room(LIMIT_BYTES, READING_BYTES, LARGE_BYTES, self.count_over)
        self.reading: set[int] = set()
        self.waiting: list[int] = []
        self.sizes: dict[int, list[int]] = {}

    def count_over(self) -> None:
        """A large one is held no more."""
        self.over += 1

    @property
    def counted_bytes(self) -> int:
        """The sum over all calls."""
        sizes = sum(sum(each) for each in self.sizes.values())
        return sizes + len(self.reading) * READING_BYTES

    @rule(call=CALLS)
    def ask(self, call: int) -> None:
        """One read a call."""
        if call in self.reading or call in self.waiting:
            return
        held_bytes, had_waiting = self.counted_bytes, bool(self.waiting)
        if self.room.ask(call):
            assert not had_waiting
            assert not held_bytes or held_bytes + READING_BYTES <= LIMIT_BYTES
            self.reading.add(call)
        else:
            self.waiting.append(call)

    @rule(call=CALLS, size_bytes=st.integers(0, 60))
    def arrived(self, call: int, size_bytes: int) -> None:
        """Also of calls that are unknown."""
        self.room.arrived(call, size_bytes)
        if call in self.reading:
            self.reading.remove(call)
            self.sizes.setdefault(call, []).append(size_bytes)
            self.came += size_bytes >= LARGE_BYTES

    @rule(call=CALLS)
    def give_back(self, call: int) -> None:
        """Also of calls that hold nothing."""
        self.room.give_back(call)
        if self.sizes.get(call):
            self.sizes[call].pop(0)

    @rule(call=CALLS)
    def forget(self, call: int) -> None:
        """Whatever the call was at."""
        self.room.forget(call)
        self.reading.discard(call)
        self.sizes.pop(call, None)
        if call in self.waiting:
            self.waiting.remove(call)

    @precondition(lambda self: self.waiting)
    @rule()
    def next_reads(self) -> None:
        """In the order in which they asked."""
        turns = self.room.next_reads()
        assert turns == self.waiting[: len(turns)]
        del self.waiting[: len(turns)]
        self.reading.update(turns)
        if self.waiting:
            assert self.counted_bytes + READING_BYTES > LIMIT_BYTES

    @invariant()
    def counts(self) -> None:
        """Nothing is counted twice or forgotten."""
        assert self.room.held_bytes == self.counted_bytes
        assert self.room.waiting == len(self.waiting)
        held = [size for sizes in self.sizes.values() for size in sizes if size >= LARGE_BYTES]
        assert self.over == self.came - len(held)


TestRooms = Rooms.TestCase


def test_the_patience_with_calls_runs_out_in_the_order_of_their_coming() -> None:
    patience = Patience(5.0)
    for call_id, now_s in ((1, 10.0), (2, 11.0), (3, 12.0)):
        patience.begin(call_id, now_s)
    patience.end(2)
    assert patience.due_at_s == 15.0
    assert patience.run_out(14.9) == []
    assert patience.run_out(17.0) == [1, 3]
    assert Patience(5.0).due_at_s is None


def test_reads_on_their_way_to_be_told_are_not_allowed_again() -> None:
    allowance = Allowance()
    assert not allowance.take()
    allowance.allow(2)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    allowance.allow(2)  # decided before it was told of any
    assert not allowance.take()
    allowance.note(2)
    allowance.allow(1)
    assert [allowance.take() for _ in range(2)] == [True, False]


@given(st.lists(st.tuples(st.sampled_from(["take", "note", "allow"]), st.integers(0, 5))))
def test_no_more_reads_begin_than_there_was_room_for(steps: list[tuple[str, int]]) -> None:
    allowance = Allowance()
    untold = 0
    room = 0
    for step, number in steps:
        if step == "take":
            taken = sum(allowance.take() for _ in range(number))
            untold += taken
            assert not taken or untold <= room
        elif step == "note":
            allowance.note(min(number, untold))
            room = max(0, room - min(number, untold))
            untold -= min(number, untold)
        else:
            allowance.allow(number)
            room = number


def test_there_is_a_most_that_may_be_read_before_anybody_is_asked() -> None:
    allowance = Allowance()
    allowance.allow(1 << 20)
    assert sum(allowance.take() for _ in range(1_000)) == 256


def test_the_latest_of_whoever_is_read_the_most_gives_way_and_nobody_who_has_as_few() -> None:
    patience = Patience(5.0)
    for call_id, peer in enumerate(("a:1", "a:1", "a:2", "b:1")):
        patience.begin(call_id, 0.0)
        patience.read(call_id, peer)
    assert patience.giving_way("c:1") == 1
    patience.end(1)
    assert patience.giving_way("b:2") is None
    patience.end(0)
    assert patience.giving_way("c:1") is None
    assert patience.run_out(9.0) == [2, 3]
    for call_id in (2, 3):
        patience.end(call_id)
    assert patience.giving_way("c:1") is None


class NotWalkedThrough(dict[int, str]):
    """Calls that nobody looks at one by one."""

    def items(self) -> NoReturn:
        """Fails."""
        raise AssertionError("every call that waits was looked at for one that is refused")


def test_a_call_for_which_nobody_gives_way_is_refused_without_a_look_at_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patience = Patience(5.0)
    monkeypatch.setattr(patience, "_read_for", NotWalkedThrough())
    for call_id in range(3):
        patience.begin(call_id, 0.0, "a:1")
    assert patience.giving_way("a:1") is None
