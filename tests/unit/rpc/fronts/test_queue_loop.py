"""The loop that waits for a queue: whatever else may end its wait does.

No wait of the tests that are run with ``attached`` ends by itself: one that is not ended is late.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator

import pytest

from batchproof_server.base.clock import epoch_s
from batchproof_server.rpc.fronts.completion_queue import queue_loop
from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from support.descriptors import open_descriptors
from support.fakes import until
from support.front_bench import ECHO, front_bench
from support.patience import PATIENCE_S

THREADS, CALLBACKS = 6, 400


class StandIn:
    """A queue of numbers.

    Args:
        can_be_woken: whether a wait can be ended.
        may_be_left: whether whatever comes would wait.
    """

    def __init__(self, *, can_be_woken: bool = True, may_be_left: bool = False) -> None:
        self.can_be_woken = can_be_woken
        self._may_be_left = may_be_left
        self.has_more = False
        self.waiting: deque[int] = deque()
        self.taken: list[int] = []
        self.longest_s = 0.0
        self.is_abandoned = False
        self._bell = threading.Event()

    def collect(self, until_epoch_s: float) -> None:
        """Waits while there is none."""
        rest_s = until_epoch_s - epoch_s()
        self.longest_s = max(self.longest_s, rest_s)
        if rest_s > 0 and not self.waiting:
            self._bell.wait(rest_s)
        self._bell.clear()
        while self.waiting:
            asyncio.get_running_loop().call_soon(self.taken.append, self.waiting.popleft())

    def may_be_left(self) -> bool:
        """As the test says."""
        return self._may_be_left

    def wake(self) -> None:
        """Ends the wait."""
        self._bell.set()

    def abandon(self) -> None:
        """Is let go of."""
        self.is_abandoned = True

    def put(self, number: int) -> None:
        """Has a number come, as the core does."""
        self.waiting.append(number)
        self._bell.set()


@pytest.fixture(autouse=True)
def _queue_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loop is one that waits for queues."""
    monkeypatch.setattr(asyncio.events, "new_event_loop", QueueLoop)


def loop() -> QueueLoop:
    """The running one."""
    running = asyncio.get_running_loop()
    assert isinstance(running, QueueLoop)
    return running


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait ends by itself."""
    for name in ("_BETWEEN_LOOKS_S", "_REST_S", "_LONGEST_WAIT_S"):
        monkeypatch.setattr(queue_loop, name, 2 * PATIENCE_S)


@contextlib.contextmanager
def attached_to_loop(queue: StandIn) -> Iterator[StandIn]:
    """Has the running loop wait for a queue."""
    assert loop().attach(queue)
    try:
        yield queue
    finally:
        loop().detach(queue)


@pytest.fixture(params=["of numbers", "of gRPC"])
async def attached(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """The loop waits for a queue, and for nothing else in the end."""
    monkeypatch.setattr(queue_loop, "_LONGEST_WAIT_S", 2 * PATIENCE_S)
    if request.param == "of numbers":
        with attached_to_loop(StandIn()):
            yield
        return
    async with front_bench(CompletionQueueFront) as bench:
        assert await bench.call(ECHO)(b"the call that the bell hangs on") != b""
        await bench.channel.close()  # which has descriptors of its own
        yield


@pytest.mark.usefixtures("attached")
async def test_a_timer_ends_the_wait() -> None:
    begun_s = loop().time()
    await asyncio.sleep(0.03)
    assert 0.03 <= loop().time() - begun_s < PATIENCE_S


@pytest.mark.usefixtures("attached")
async def test_another_thread_ends_the_wait() -> None:
    for pause_s in (0, 0.0001, 0.001, 0.01, 0.05):
        told = asyncio.Event()
        later = threading.Timer(pause_s, loop().call_soon_threadsafe, (told.set,))
        later.start()
        await told.wait()
        later.join()


@pytest.mark.usefixtures("attached")
async def test_nothing_that_threads_ask_for_is_lost() -> None:
    running, ran, is_all = loop(), itertools.count(1), asyncio.Event()

    def note() -> None:
        if next(ran) == THREADS * CALLBACKS:
            is_all.set()

    def ask() -> None:
        for number in range(CALLBACKS):
            running.call_soon_threadsafe(note)
            if number % 7 == 0:  # now and then the loop has nothing more to do
                is_heard = threading.Event()
                running.call_soon_threadsafe(is_heard.set)
                assert is_heard.wait(PATIENCE_S)

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    await is_all.wait()
    for thread in threads:
        thread.join()
    await asyncio.sleep(0)
    assert next(ran) == THREADS * CALLBACKS + 1


@pytest.mark.usefixtures("attached")
async def test_each_answer_of_an_executor_ends_the_wait() -> None:
    for number in range(200):
        assert await loop().run_in_executor(None, abs, -number) == number


@pytest.mark.usefixtures("attached")
async def test_a_descriptor_that_becomes_readable_ends_the_wait() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with ours, theirs:
        for number in range(100):
            later = threading.Timer(0.001 * (number % 3), theirs.send, (b"x",))
            later.start()
            assert await loop().sock_recv(ours, 1) == b"x"
            later.join()


@pytest.mark.usefixtures("attached")
async def test_a_process_is_heard() -> None:
    code = "print('here'); print(input())"
    command = (sys.executable, "-c", code)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    assert (await process.communicate(b"there\n"))[0] == b"there\n"
    assert process.returncode == 0


@pytest.mark.usefixtures("attached")
async def test_a_signal_handler_that_asks_for_something_ends_the_wait() -> None:
    heard, running = asyncio.Event(), loop()
    ours = signal.signal(signal.SIGUSR1, lambda *_: running.call_soon_threadsafe(heard.set))
    try:
        later = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        later.start()
        await heard.wait()
        later.join()
    finally:
        signal.signal(signal.SIGUSR1, ours)


@pytest.mark.usefixtures("attached")
async def test_a_signal_handler_of_the_loop_ends_the_wait() -> None:
    heard = asyncio.Event()
    loop().add_signal_handler(signal.SIGUSR1, heard.set)
    try:
        later = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        later.start()
        await heard.wait()
        later.join()
    finally:
        loop().remove_signal_handler(signal.SIGUSR1)


@pytest.mark.usefixtures("attached")
async def test_two_loops_talk_to_each_other() -> None:
    running = loop()

    async def double(number: int) -> int:
        return 2 * number

    def ask() -> int:
        asked = (asyncio.run_coroutine_threadsafe(double(each), running) for each in range(100))
        return sum(each.result(PATIENCE_S) for each in asked)

    assert await asyncio.to_thread(ask) == 9900


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_event_and_a_descriptor_are_seen_in_the_same_turn() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, attached_to_loop(StandIn()) as queue:
        seen: list[str] = []
        loop().add_reader(ours, lambda: seen.append("descriptor"))
        queue.waiting.append(7)
        theirs.send(b"x")
        await turns(6)
        loop().remove_reader(ours)
        assert queue.taken == [7]
        assert seen[:1] == ["descriptor"]


async def test_while_there_is_work_four_turns_of_five_do_without_a_look() -> None:
    with attached_to_loop(StandIn()) as queue:
        await asyncio.sleep(0.001)  # the loop has waited
        queue.waiting.append(1)
        await turns(4)
        assert queue.taken == []
        await turns(2)
        assert queue.taken == [1]


async def test_while_more_may_wait_every_turn_looks() -> None:
    with attached_to_loop(StandIn()) as queue:
        queue.has_more = True
        for number in range(3):
            queue.waiting.append(number)
            await turns(2)
            assert queue.taken == list(range(number + 1))


async def test_what_another_thread_asks_for_waits_for_no_look() -> None:
    with attached_to_loop(StandIn()):
        await asyncio.sleep(0.001)
        asked: list[int] = []
        thread = threading.Thread(target=loop().call_soon_threadsafe, args=(asked.append, 1))
        thread.start()
        thread.join()
        await turns(2)
        assert asked == [1]


async def test_where_more_may_wait_there_is_no_rest() -> None:
    with attached_to_loop(StandIn(may_be_left=True)) as queue:
        queue.has_more = True
        await asyncio.sleep(0.02)
        assert queue.longest_s > 0


async def test_a_queue_that_always_has_something_keeps_no_descriptor_waiting() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, attached_to_loop(StandIn()) as queue:
        numbers, is_read = itertools.count(), asyncio.Event()
        loop().add_reader(ours, is_read.set)
        theirs.send(b"x")
        while not is_read.is_set():
            queue.waiting.append(next(numbers))
            await asyncio.sleep(0)
        loop().remove_reader(ours)
        assert next(numbers) <= 3 * 5


async def test_descriptors_that_are_always_ready_keep_no_event_waiting() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, attached_to_loop(StandIn()) as queue:
        turns = itertools.count()
        loop().add_reader(ours, lambda: next(turns))
        theirs.send(b"x")
        for number in range(10):
            queue.waiting.append(number)
            await until(lambda: not queue.waiting)
        loop().remove_reader(ours)
        assert next(turns) <= 40


async def test_no_wait_is_longer_than_a_clock_that_is_set_back_may_make_timers_late() -> None:
    with attached_to_loop(StandIn()) as queue:
        await asyncio.sleep(0.5)
        assert 0 < queue.longest_s <= 0.2


@pytest.mark.parametrize("queue", [StandIn(can_be_woken=False), StandIn(may_be_left=True)])
async def test_a_queue_that_cannot_be_woken_or_may_be_left_is_looked_at_again_and_again(
    queue: StandIn,
) -> None:
    with attached_to_loop(queue):
        later = threading.Timer(0.03, queue.put, (1,))
        later.start()
        await until(lambda: queue.taken == [1])
        later.join()
        assert queue.longest_s <= 0


@pytest.mark.parametrize("queue", [StandIn(can_be_woken=False), StandIn(may_be_left=True)])
@pytest.mark.usefixtures("long_waits")
async def test_meanwhile_other_threads_end_the_wait(queue: StandIn) -> None:
    with attached_to_loop(queue):
        for number in range(50):
            assert await asyncio.to_thread(abs, -number) == number


@pytest.mark.usefixtures("long_waits")
async def test_what_came_while_the_queue_was_left_is_found_when_something_else_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, attached_to_loop(StandIn(may_be_left=True)) as queue:
        ended, left = asyncio.Event(), list[int]()

        def note() -> None:
            left.append(len(queue.waiting))
            ended.set()

        loop().add_reader(ours, note)
        later = threading.Timer(0.03, theirs.send, (b"x",))
        queue.put(1)
        later.start()
        await ended.wait()
        later.join()
        loop().remove_reader(ours)
        # By the same look that found the descriptor.
        assert (left[0], queue.taken) == (0, [1])


async def test_a_second_queue_is_not_waited_for() -> None:
    with attached_to_loop(StandIn()) as first:
        second = StandIn()
        assert not loop().attach(second)
        loop().detach(second)
        first.waiting.append(1)
        await until(lambda: first.taken == [1])
    assert loop().attach(second)
    loop().detach(second)


async def test_without_a_queue_it_is_as_asyncios_own() -> None:
    queue = StandIn()
    with attached_to_loop(queue):
        await asyncio.sleep(0)
    queue.waiting.append(1)
    assert await asyncio.to_thread(abs, -1) == 1
    await asyncio.sleep(0.01)
    assert queue.taken == []


def test_a_loop_is_closed_while_it_waits_for_a_queue_and_leaves_no_thread() -> None:
    before = {*threading.enumerate()}
    made = QueueLoop()
    queue = StandIn()

    async def begin() -> None:
        assert made.attach(queue)
        await asyncio.sleep(0)

    made.run_until_complete(begin())
    assert [each.name for each in {*threading.enumerate()} - before] == ["loop-descriptors"]
    made.close()
    assert queue.is_abandoned
    assert {*threading.enumerate()} <= before
    with pytest.raises(RuntimeError, match="closed"):
        made.call_soon_threadsafe(print)
    made.close()


def test_the_descriptors_of_a_loop_are_closed_with_it() -> None:
    before = open_descriptors()
    for _ in range(20):
        made = QueueLoop()
        assert made.attach(StandIn())
        made.close()
    assert len(open_descriptors() - before) <= 2


LEAVES_ITS_PORT_OPEN = """
import asyncio
from grpc import aio
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.rpc.fronts.completion_queue.queue_loop import QueueLoop
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import Routes
from batchproof_server.rpc.settings import RpcSettings
from support.fronts import NoGate

async def begin():
    front = CompletionQueueFront(RpcSettings(), Routes({}, {}, NoGate()), MonotonicClock())
    port = await front.start("127.0.0.1", 0)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary("/a/b")(b"").code()

made = [QueueLoop()]
made[0].run_until_complete(begin())
made.pop().close()
"""


def test_a_process_that_closes_its_loop_while_a_port_is_open_ends() -> None:
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_ITS_PORT_OPEN],
        # Its channel, when it lives long enough, tells that the server went away: that is no fault.
        env=os.environ | {"PYTHONPATH": path, "GRPC_VERBOSITY": "ERROR"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupted_wait_is_forgotten() -> None:
    made, queue = QueueLoop(), StandIn()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    async def wait() -> None:
        assert made.attach(queue)
        later = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        later.start()
        await asyncio.sleep(PATIENCE_S)

    async def ask() -> int:
        return await asyncio.to_thread(abs, -1)

    ours = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            made.run_until_complete(wait())
        assert made.run_until_complete(ask()) == 1
    finally:
        signal.signal(signal.SIGUSR1, ours)
        for task in asyncio.all_tasks(made):
            task.cancel()
        made.run_until_complete(asyncio.sleep(0))
        made.run_until_complete(made.shutdown_default_executor())
        made.close()
