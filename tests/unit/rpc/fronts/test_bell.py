"""The bell of a queue: one event of its own at a time, and none once it is taken down."""

import threading
from collections.abc import Callable

import pytest

from batchproof_server.rpc.fronts.completion_queue.bell import Bell


class Call:
    """Counts the batches that are begun, and may refuse them."""

    def __init__(self, begin: Callable[[], object] = lambda: 0) -> None:
        self.begun = 0
        self._begin = begin

    def start_server_batch(self, operations: tuple[object, ...], tag: object) -> object:
        """Begins an empty batch."""
        del tag
        assert operations == ()
        self.begun += 1
        return self._begin()


def test_it_is_rung_once_until_somebody_hears_it() -> None:
    bell, call = Bell(), Call()
    bell.hang(call)
    for _ in range(3):
        bell.ring()
    assert call.begun == 1
    bell.note()
    bell.ring()
    assert call.begun == 2


def test_without_a_call_it_cannot_be_rung() -> None:
    assert not Bell().ring()


def test_it_hangs_on_the_first_call() -> None:
    bell, first, second = Bell(), Call(), Call()
    assert bell.hang(first)
    assert bell.hang(second)
    assert bell.ring()
    assert (first.begun, second.begun) == (1, 0)


def test_once_taken_down_it_is_never_rung_again() -> None:
    bell, call = Bell(), Call()
    bell.hang(call)
    bell.take_down()
    assert not bell.hang(call)
    assert not bell.ring()
    assert call.begun == 0


def refuse() -> int:
    return 8


def fail() -> int:
    raise ValueError("invalid call")


@pytest.mark.parametrize("begin", [refuse, fail])
def test_a_call_that_cannot_be_rung_is_let_go_and_another_may_follow(
    begin: Callable[[], object],
) -> None:
    bell, good = Bell(), Call()
    bell.hang(Call(begin))
    assert not bell.ring()
    assert bell.hang(good)
    assert bell.ring()
    assert good.begun == 1


def test_a_signal_handler_may_ring_while_its_thread_rings() -> None:
    bell = Bell()

    def handle() -> int:
        bell.ring()
        bell.take_down()
        return 0

    call = Call(handle)
    bell.hang(call)
    ringing = threading.Thread(target=bell.ring, daemon=True)
    ringing.start()
    ringing.join()
    assert call.begun == 1


def test_whoever_rings_while_it_is_taken_down_is_too_late() -> None:
    bell, is_ringing, may_end = Bell(), threading.Event(), threading.Event()
    order: list[str] = []

    def begin() -> int:
        is_ringing.set()
        may_end.wait()
        order.append("rung")
        return 0

    def take_down() -> None:
        bell.take_down()
        order.append("taken down")

    bell.hang(Call(begin))
    threads = [threading.Thread(target=bell.ring), threading.Thread(target=take_down)]
    threads[0].start()
    is_ringing.wait()
    threads[1].start()
    may_end.set()
    for thread in threads:
        thread.join()
    assert order == ["rung", "taken down"]
