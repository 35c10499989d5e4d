"""One process of a load: gets its work over a pipe, sends, and reports what it counted."""

import asyncio
import gc
import selectors
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from batchproof_client.connection import Endpoint
from batchproof_client.errors import BatchproofError
from batchproof_client.loadtest.identical import Identity
from batchproof_client.loadtest.preparation import open_target
from batchproof_client.loadtest.record import Recorder, Slice
from batchproof_client.loadtest.runner import Ending, Runner, Work
from batchproof_client.loadtest.target import ProtocolName, Target

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_REPORT_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a process is told.

    Attributes:
        work: what to send and when.
        endpoint: where to.
        protocol: how.
        connections: to open.
        check_identical: whether to compare the answers.
        interval_s: of the counts.
    """

    work: Work
    endpoint: Endpoint
    protocol: ProtocolName
    connections: int
    check_identical: bool
    interval_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The process can start."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start at this instant of the monotonic clock, which all processes of a machine share."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """End now."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What was counted since the last report.

    Attributes:
        slices: of the intervals that ended.
        in_flight: requests under way.
    """

    slices: tuple[Slice, ...]
    in_flight: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last report.

    Attributes:
        slices: what was left.
        ending: how the sending ended.
        busy_share: of the time in which the sending thread computed; at 1 it can send no faster.
        identity: the answers, when they were compared.
    """

    slices: tuple[Slice, ...]
    ending: Ending
    busy_share: float
    identity: Identity | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The process could not do its work; one sentence says why."""

    message: str


Report: TypeAlias = Ready | Progress | Finished | Failed


class Pipe(Protocol):
    """The end of a pipe that a process holds."""

    def send(self, report: Report, /) -> None:
        """Sends a report."""
        ...


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop that wakes up within some 0.1 ms; epoll would round up to 1 ms."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def work(connection: "Connection[Report, Start | Stop]", job: Job) -> None:
    """The body of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which says stop
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_work(connection, job))


async def _work(connection: "Connection[Report, Start | Stop]", job: Job) -> None:
    loop = asyncio.get_running_loop()
    started: asyncio.Future[float] = loop.create_future()
    stop = asyncio.Event()

    def read() -> None:
        try:
            order = connection.recv()
        except (EOFError, ConnectionError):  # the parent is gone
            order = Stop()
        if isinstance(order, Start) and not started.done():
            started.set_result(order.at_s)
        elif isinstance(order, Stop):
            loop.remove_reader(connection.fileno())
            stop.set()
            started.cancel()

    loop.add_reader(connection.fileno(), read)
    try:
        targets = [
            open_target(job.endpoint, job.protocol, keep_answers=job.check_identical)
            for _ in range(job.connections)
        ]
        connection.send(Ready())
        await perform(job, targets, connection, await started, stop)
    except BatchproofError as fault:
        connection.send(Failed(str(fault)))
    except asyncio.CancelledError:
        pass  # stopped before it began
    except ConnectionError:
        pass  # the parent is gone, and nobody is left to tell


async def perform(
    job: Job, targets: Sequence[Target], pipe: Pipe, start_s: float, stop: asyncio.Event
) -> None:
    """Runs, reports a few times a second, and closes the targets."""
    recorder = Recorder(job.interval_s)
    identity = Identity() if job.check_identical else None
    runner = Runner(job.work, targets, recorder, identity)
    reporting = asyncio.create_task(_report(runner, recorder, pipe, start_s))
    gc.collect()
    gc.freeze()  # what is there now is there to stay; a full collection would show as lag
    busy_s, begun_s = time.thread_time(), time.monotonic()
    try:
        ending = await runner.run(start_s, stop)
    finally:
        reporting.cancel()
        for target in targets:
            await target.close()
    busy_share = (time.thread_time() - busy_s) / max(time.monotonic() - begun_s, 1e-9)
    pipe.send(Finished(tuple(recorder.take_all()), ending, busy_share, identity))


async def _report(runner: Runner, recorder: Recorder, pipe: Pipe, start_s: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_REPORT_EVERY_S)
        # Time before the start has no interval.
        slices = recorder.take(max(0.0, loop.time() - start_s))
        pipe.send(Progress(tuple(slices), runner.in_flight))
