"""The micro-batch queue, case by case; the laws are in properties/test_microbatch.py."""

import heapq
import weakref

import pytest

from batchproof_server.base.errors import Draining, QueueFull
from batchproof_server.batching.microbatch import MicroBatchQueue
from batchproof_server.batching.task import Limits, Task


def queue_of(
    max_batch_rows: int = 4, max_queued_rows: int = 8, max_queue_delay: int = 0
) -> MicroBatchQueue[object]:
    return MicroBatchQueue(Limits(max_batch_rows, max_queued_rows, max_queue_delay))


def offered(queue: MicroBatchQueue[object], *tasks: Task[object], now: int = 0) -> None:
    for task in tasks:
        queue.offer(task, now)


def test_an_empty_queue_has_nothing_to_do_and_never_will() -> None:
    queue = queue_of()
    assert queue.take(0) == ()
    assert queue.expire(0) == ()
    assert queue.due_at() is None
    assert queue.settled


def test_without_delay_one_row_runs_at_once() -> None:
    queue, task = queue_of(), Task[object]("a", 1)
    offered(queue, task, now=7)
    assert queue.due_at() == 7
    assert queue.take(7) == (task,)


def test_rows_are_counted_not_requests() -> None:
    queue = queue_of(max_batch_rows=4, max_queued_rows=8)
    three, two, one = (Task[object](rows, rows) for rows in (3, 2, 1))
    offered(queue, three, two, one)
    assert queue.waiting_rows == 6
    assert queue.waiting_tasks == 3
    assert queue.take(0) == (three,)
    assert queue.take(0) == (two, one)


def test_a_small_task_never_overtakes_a_large_one_that_does_not_fit() -> None:
    queue = queue_of(max_batch_rows=4)
    first, large, small = Task[object]("first", 2), Task[object]("large", 3), Task[object]("s", 1)
    offered(queue, first, large, small)
    assert queue.take(0) == (first,)
    assert queue.take(0) == (large, small)


@pytest.mark.parametrize("rows", [0, -1, 5])
def test_a_task_that_could_never_be_taken_is_a_programming_error(rows: int) -> None:
    with pytest.raises(ValueError, match=f"a task of {rows} rows, expected 1 to 4"):
        queue_of(max_batch_rows=4).offer(Task("a", rows), 0)


def test_a_task_waits_once() -> None:
    queue, task = queue_of(), Task[object]("a", 1)
    offered(queue, task)
    with pytest.raises(ValueError, match="the task waits already"):
        queue.offer(task, 0)
    assert queue.waiting_rows == 1


def test_a_refusal_says_how_full_the_queue_is_and_when_to_come_back() -> None:
    queue = queue_of(max_queued_rows=8)
    offered(queue, Task("a", 4), Task("b", 3))
    with pytest.raises(QueueFull, match="holds 7 of 8 rows and has no room for 2 more") as refusal:
        queue.offer(Task("c", 2), 0, retry_after_s=0.25)
    assert refusal.value.retry_after_s == 0.25
    queue.offer(Task("d", 1), 0)
    assert queue.waiting_rows == 8


def test_a_draining_queue_says_so_even_when_it_is_full() -> None:
    queue = queue_of(max_batch_rows=4, max_queued_rows=4)
    offered(queue, Task("a", 4))
    queue.drain()
    with pytest.raises(Draining, match="going away"):
        queue.offer(Task("b", 1), 0)


def test_draining_releases_what_waits_for_company() -> None:
    queue, task = queue_of(max_queue_delay=100), Task[object]("a", 1)
    offered(queue, task, now=3)
    assert queue.take(4) == ()
    queue.drain()
    assert queue.due_at() == 3
    assert queue.take(4) == (task,)
    assert queue.settled


def test_the_delay_ends_for_all_when_it_ends_for_the_oldest() -> None:
    queue = queue_of(max_queue_delay=10)
    old, young = Task[object]("old", 1), Task[object]("young", 1)
    offered(queue, old, now=0)
    offered(queue, young, now=9)
    assert queue.due_at() == 10
    assert queue.take(9) == ()
    assert queue.take(10) == (old, young)


def test_a_full_micro_batch_waits_for_nobody() -> None:
    queue = queue_of(max_batch_rows=4, max_queue_delay=10)
    offered(queue, Task("a", 3))
    assert queue.take(0) == ()
    offered(queue, Task("b", 1))
    assert len(queue.take(0)) == 2


def test_a_task_that_would_expire_in_the_delay_does_not_wait_for_company() -> None:
    queue = queue_of(max_queue_delay=10)
    patient, urgent = Task[object]("p", 1), Task[object]("u", 1, deadline=11)
    offered(queue, patient, now=0)
    assert queue.take(1) == ()
    offered(queue, urgent, now=1)
    assert queue.take(1) == (patient, urgent)


def test_when_the_urgent_task_leaves_the_others_wait_again() -> None:
    queue = queue_of(max_queue_delay=10)
    patient, urgent = Task[object]("p", 1), Task[object]("u", 1, deadline=5)
    offered(queue, patient, urgent)
    assert queue.withdraw(urgent)
    assert queue.take(1) == ()
    assert queue.due_at() == 10


def test_one_expired_member_among_live_ones_is_left_out_and_they_run() -> None:
    queue = queue_of()
    before, late, after = (
        Task[object]("b", 1),
        Task[object]("l", 1, deadline=5),
        Task[object]("a", 1),
    )
    offered(queue, before, late, after)
    assert queue.take(5) == (before, after)
    assert queue.waiting_rows == 0
    assert not queue.settled
    assert queue.expires_at() == 5
    assert not queue.withdraw(late)
    assert queue.expire(5) == (late,)
    assert queue.settled


def test_a_deadline_is_over_at_its_own_instant_and_not_before() -> None:
    queue, task = queue_of(), Task[object]("a", 1, deadline=5)
    offered(queue, task)
    assert queue.expire(4) == ()
    assert queue.expire(5) == (task,)
    assert queue.expire(5) == ()


def test_expired_tasks_come_by_deadline_and_then_by_arrival() -> None:
    queue = queue_of()
    tasks = [Task[object](deadline, 1, deadline) for deadline in (7, 3, 7, 5)]
    offered(queue, *tasks)
    assert queue.expire(9) == (tasks[1], tasks[3], tasks[0], tasks[2])


def test_tasks_of_different_kinds_never_share_a_micro_batch() -> None:
    queue = queue_of()
    tasks = [Task[object](index, 1, kind=kind) for index, kind in enumerate("aabb")]
    offered(queue, *tasks)
    assert queue.take(0) == tuple(tasks[:2])
    assert queue.take(0) == tuple(tasks[2:])


def test_a_withdrawn_task_frees_its_rows_at_once() -> None:
    queue, task = queue_of(max_batch_rows=4, max_queued_rows=4), Task[object]("a", 4)
    offered(queue, task)
    assert queue.withdraw(task)
    assert not queue.withdraw(task)
    queue.check_room(4)
    assert queue.due_at() is None


def test_what_never_came_cannot_be_withdrawn() -> None:
    assert not queue_of().withdraw(Task("a", 1))


def test_withdrawing_all_leaves_nothing_without_a_fate() -> None:
    queue = queue_of(max_batch_rows=1)
    late, first, second = (
        Task[object]("l", 1, deadline=1),
        Task[object]("f", 1),
        Task[object]("s", 1),
    )
    offered(queue, first, late, second)
    assert queue.take(2) == (first,)
    assert queue.withdraw_all() == (late, second)
    assert queue.settled
    assert queue.waiting_rows == 0
    assert queue.expire(2) == ()


class Payload:
    """Something that can be watched."""


def test_a_task_that_left_is_not_kept_alive_by_its_deadline() -> None:
    queue, payload = queue_of(), Payload()
    task = Task[object](payload, 1, deadline=1_000)
    trace = weakref.ref(payload)
    offered(queue, Task("stays", 1, deadline=1), task)
    queue.withdraw(task)
    del task, payload
    assert trace() is None


def test_deadlines_of_tasks_that_left_do_not_pile_up() -> None:
    queue = queue_of(max_batch_rows=1, max_queued_rows=8)
    offered(queue, Task("stays", 1, deadline=1))
    for number in range(1_000):
        task = Task[object](number, 1, deadline=10_000 - number)
        offered(queue, task)
        queue.withdraw(task)
    assert len(queue._deadlines) <= 70


def test_after_forgetting_stale_deadlines_the_live_ones_still_expire_in_order() -> None:
    queue = queue_of(max_batch_rows=1, max_queued_rows=300)
    live: list[Task[object]] = []
    for number in range(200):
        live.append(Task(number, 1, deadline=1_000 - number))
        gone = Task[object]("gone", 1, deadline=2_000 + number)
        more = Task[object]("gone", 1, deadline=number)
        offered(queue, live[-1], gone, more)
        queue.withdraw(gone)
        queue.withdraw(more)
    heap = list(queue._deadlines)
    heapq.heapify(heap)
    assert queue._deadlines == heap
    assert queue.expire(1_000) == tuple(reversed(live))


@pytest.mark.parametrize(
    ("waiting", "taken"), [(1, 1), (3, 3), (5, 5), (11, 11), (17, 16), (20, 16), (24, 24)]
)
def test_a_model_that_was_not_measured_is_given_full_buckets_rather_than_much_padding(
    waiting: int, taken: int
) -> None:
    queue: MicroBatchQueue[int] = MicroBatchQueue(Limits(32, 64, 0, (2, 4, 8, 16, 32)))
    for name in range(waiting):
        queue.offer(Task(name, 1), 0)

    first = queue.take(0)
    rest = queue.take(0)

    assert [task.payload for task in first] == list(range(taken))
    assert [task.payload for task in rest] == list(range(taken, waiting))


@pytest.mark.parametrize(
    ("costs", "taken"),
    [
        ((2, 4, 8, 16, 32), 2),  # a row costs the same anywhere: who comes next waits the least
        ((2, 3.95, 7.75, 15.4, 33), 8),  # among eight they are nearly as cheap as among sixteen
        ((2, 3.8, 8, 16.4, 33), 4),  # rows are cheapest among four
        ((1, 1, 1, 1, 1), 20),  # only executions cost
        ((2, 4, 8, 16, 18), 20),  # padding up to the largest is cheaper than full buckets
    ],
)
def test_the_bucket_is_the_one_whose_rows_are_cheapest(
    costs: tuple[float, ...], taken: int
) -> None:
    limits = Limits(32, 64, 0, (2, 4, 8, 16, 32), costs)
    queue: MicroBatchQueue[int] = MicroBatchQueue(limits)
    for name in range(20):
        queue.offer(Task(name, 1), 0)
    assert [task.payload for task in queue.take(0)] == list(range(taken))


def test_a_task_of_many_rows_is_taken_whole_even_when_fewer_would_be_cheaper() -> None:
    queue: MicroBatchQueue[int] = MicroBatchQueue(Limits(8, 64, 0, (2, 8), (1, 100)))
    queue.offer(Task(1, 5), 0)
    assert [task.payload for task in queue.take(0)] == [1]


@pytest.mark.parametrize(
    ("buckets", "costs", "enough"),
    [
        ((2, 4, 8), (2, 4, 8), 2),  # a row costs the same anywhere
        ((2, 4, 8), (3, 5, 9), 8),  # executions cost too: as many as fit
        ((2, 4, 8), (2, 3, 8), 4),
        ((2, 4, 8), (1, 3, 8), 2),
        ((2, 4, 8), (), 8),
        ((), (), 8),
    ],
)
def test_it_has_enough_when_more_rows_would_make_no_micro_batch_cheaper(
    buckets: tuple[int, ...], costs: tuple[float, ...], enough: int
) -> None:
    queue = MicroBatchQueue[object](Limits(8, 64, 0, buckets, costs))
    for rows in range(1, 9):
        offered(queue, Task[object](rows, 1))
        assert queue.has_enough is (rows >= enough)
