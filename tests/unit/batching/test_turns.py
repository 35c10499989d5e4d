"""Callers that share a queue, case by case; the laws are in properties/test_shares.py."""

import gc
import weakref

import pytest

from batchproof_server.base.errors import QueueFull
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.task import Limits, Task

BUCKETS = (2, 4)


def queue_of(max_queued_rows: int = 8, max_batch_rows: int = 4) -> MicroBatchQueue[str]:
    return MicroBatchQueue(Limits(max_batch_rows, max_queued_rows, 0))


def offered(queue: MicroBatchQueue[str], callers: str, rows: int = 1) -> list[str]:
    """Offers one task for each letter, which is its caller; the payloads of what was displaced."""
    displaced: list[str] = []
    for number, caller in enumerate(callers):
        task = Task(f"{caller}{number}", rows, caller=caller)
        displaced += [each.payload for each in queue.offer(task, 0)]
    return displaced


def taken(queue: MicroBatchQueue[str]) -> list[str]:
    return [task.payload for task in queue.take(0)]


def test_callers_take_turns_row_by_row_and_each_keeps_its_order() -> None:
    queue = queue_of()
    offered(queue, "aaaaabb")
    assert taken(queue) == ["a0", "b5", "a1", "b6"]
    assert taken(queue) == ["a2", "a3", "a4"]


def test_a_polite_caller_is_in_the_next_micro_batch_however_much_waits() -> None:
    queue = queue_of(max_queued_rows=512)
    offered(queue, "a" * 511)
    offered(queue, "b")
    assert "b0" in taken(queue)


def test_a_large_task_is_paid_for_with_as_many_rounds() -> None:
    queue = queue_of(max_queued_rows=40)
    offered(queue, "aaa", rows=4)
    offered(queue, "b" * 9)
    assert taken(queue) == ["a0"]
    assert taken(queue) == ["b0", "b1", "b2", "b3"]
    assert taken(queue) == ["a1"]


def test_within_one_round_who_was_served_earlier_comes_first() -> None:
    queue = queue_of(max_batch_rows=2)
    offered(queue, "aaa")
    offered(queue, "bb", rows=2)
    assert [taken(queue) for _ in range(5)] == [["a0"], ["b0"], ["a1"], ["b1"], ["a2"]]


def test_a_debt_outlives_the_queue_of_its_caller_but_not_that_of_all_others() -> None:
    queue = queue_of(max_queued_rows=40)
    offered(queue, "a", rows=4)
    offered(queue, "b" * 9)
    assert taken(queue) == ["a0"]
    offered(queue, "a", rows=4)
    assert taken(queue) == ["b0", "b1", "b2", "b3"]
    queue.withdraw_all()
    offered(queue, "ab", rows=3)
    assert taken(queue) == ["a0"]


def test_tasks_of_several_kinds_and_callers_never_share_a_micro_batch() -> None:
    queue = queue_of()
    for number, (caller, kind) in enumerate([("a", 1), ("b", 2), ("a", 1), ("b", 1)]):
        queue.offer(Task(f"{caller}{number}", 1, None, kind, caller), 0)
    assert taken(queue) == ["a0"]
    assert taken(queue) == ["b1"]
    assert taken(queue) == ["a2", "b3"]


def test_who_holds_the_most_gives_way_with_its_latest_tasks_until_all_hold_the_same() -> None:
    queue = queue_of(max_queued_rows=8)
    offered(queue, "aaaaaaaa")
    assert offered(queue, "b") == ["a7"]
    assert offered(queue, "bb", rows=1) == ["a6", "a5"]
    assert offered(queue, "b") == ["a4"]
    with pytest.raises(QueueFull, match="the queue holds 8 of 8 rows and has no room for 1 more"):
        offered(queue, "b")
    with pytest.raises(QueueFull):
        offered(queue, "a")
    assert queue.waiting_rows == 8


def test_nobody_gives_way_to_a_caller_that_would_then_hold_more() -> None:
    queue = queue_of(max_queued_rows=9)
    offered(queue, "aaaaabbbb")
    with pytest.raises(QueueFull):
        offered(queue, "b")


def test_room_for_several_rows_is_made_by_several_callers_or_not_at_all() -> None:
    queue = queue_of(max_queued_rows=8)
    offered(queue, "aaaabbbb")
    assert offered(queue, "c", rows=2) == ["a3", "b7"]
    queue.withdraw_all()
    offered(queue, "aaaabbbb")
    with pytest.raises(QueueFull):
        offered(queue, "c", rows=4)
    assert queue.waiting_tasks == 8


def test_a_caller_that_waits_alone_has_the_whole_queue_and_displaces_nothing_of_its_own() -> None:
    queue = queue_of(max_queued_rows=8)
    assert offered(queue, "aaaaaaaa") == []
    with pytest.raises(QueueFull):
        offered(queue, "a")


def test_asking_for_room_says_who_would_give_way_and_changes_nothing() -> None:
    queue = queue_of(max_queued_rows=4)
    offered(queue, "aaaa")
    assert [task.payload for task in queue.check_room(1, caller="b")] == ["a3"]
    assert queue.waiting_rows == 4
    with pytest.raises(QueueFull):
        queue.check_room(1, caller="a")


def test_how_long_a_caller_waits_depends_on_its_own_rows_and_as_many_of_each_other() -> None:
    queue = queue_of(max_queued_rows=64)
    offered(queue, "a" * 40)
    assert queue.turns.rows_until("a", 1) == 41
    assert queue.turns.rows_until("b", 1) <= 3
    offered(queue, "c" * 5)
    assert queue.turns.rows_until("b", 10) == 10 + 10 + 5


def test_the_cheapest_length_is_cut_from_the_turns_and_the_rest_keeps_its_place() -> None:
    queue: MicroBatchQueue[str] = MicroBatchQueue(Limits(4, 16, 0, BUCKETS, (1.0, 9.0)))
    offered(queue, "aaabbb")
    assert queue.next_rows() == 2
    assert taken(queue) == ["a0", "b3"]
    assert taken(queue) == ["a1", "b4"]
    assert taken(queue) == ["a2", "b5"]


def test_a_task_that_was_withdrawn_is_not_kept_alive_by_the_turns() -> None:
    queue: MicroBatchQueue[object] = MicroBatchQueue(Limits(4, 8, 0))
    queue.offer(Task(None, 1, caller="a"), 0)
    payload = queue_of()
    gone = weakref.ref(payload)
    task = Task[object](payload, 1, caller="b")
    queue.offer(task, 0)
    assert queue.next_rows() == 2
    queue.withdraw(task)
    del task, payload
    gc.collect()
    assert gone() is None
