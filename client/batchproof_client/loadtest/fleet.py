"""Several processes that send one load together."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Final, TypeAlias

from batchproof_client.errors import BatchproofError
from batchproof_client.loadtest.arrivals import ClosedLoop
from batchproof_client.loadtest.identical import Identity
from batchproof_client.loadtest.record import Slice
from batchproof_client.loadtest.worker import (
    Failed,
    Finished,
    Job,
    Progress,
    Ready,
    Report,
    Start,
    Stop,
    work,
)

_LOOK_EVERY_S: Final = 0.2
_HEAD_START_S: Final = 0.1
Observer: TypeAlias = "Callable[[Harvest, float], None]"


@dataclass(slots=True)
class Harvest:
    """What the processes have reported so far.

    Attributes:
        slices: of all processes.
        in_flight: by process, at the last report.
        finished: of the processes that have ended.
    """

    slices: list[Slice] = field(default_factory=list)
    in_flight: dict[int, int] = field(default_factory=dict)
    finished: list[Finished] = field(default_factory=list)

    @property
    def ended_s(self) -> float:
        """Until when requests were due, since the start."""
        return max(each.ending.ended_s for each in self.finished)

    @property
    def abandoned(self) -> int:
        """Requests that were under way when the user stopped the run."""
        return sum(each.ending.abandoned for each in self.finished)

    def identity(self) -> Identity | None:
        """The answers that all processes saw together."""
        whole: Identity | None = None
        for each in self.finished:
            if each.identity is not None:
                whole = whole or Identity()
                whole.merge(each.identity)
        return whole


class Interrupt:
    """Whether the user has pressed Ctrl-C; a second time is not caught."""

    def __init__(self) -> None:
        self.pressed = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catches the signal, in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _press(self, _number: int, _frame: object) -> None:
        self.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def divided(job: Job, processes: int) -> list[Job]:
    """Gives each process its share; never more processes than callers or requests."""
    arrivals, count = job.work.arrivals, job.work.count
    if not isinstance(arrivals, ClosedLoop):
        return [
            replace(job, work=replace(job.work, worker=number, workers=processes))
            for number in range(processes)
        ]
    processes = min(processes, arrivals.concurrency, count or arrivals.concurrency)
    return [
        replace(
            job,
            work=replace(
                job.work,
                worker=number,
                workers=processes,
                arrivals=replace(
                    arrivals, concurrency=_part(arrivals.concurrency, number, processes)
                ),
                count=None if count is None else _part(count, number, processes),
            ),
        )
        for number in range(processes)
    ]


def _part(whole: int, number: int, parts: int) -> int:
    return whole // parts + (number < whole % parts)


def run(jobs: Sequence[Job], observe: Observer, interrupt: Interrupt) -> Harvest:
    """Starts a process for each job, all at the same instant, and collects their reports.

    Args:
        jobs: one for each process.
        observe: called a few times a second with what there is, and the time since the start.
        interrupt: ends the run when pressed; what was counted until then is returned.

    Raises:
        BatchproofError: a process could not do its work, or died.
    """
    harvest = Harvest()
    with interrupt.watching(), _spawned(jobs) as pipes:
        waiting = dict(pipes)
        _await_ready(waiting)
        start_s = time.monotonic() + _HEAD_START_S
        _tell(waiting, Start(start_s))
        stopped = False
        while waiting:
            if interrupt.pressed and not stopped:
                stopped = True
                _tell(waiting, Stop())
            for pipe in _readable(waiting):
                if isinstance(report := _received(pipe), Finished):
                    harvest.in_flight[waiting.pop(pipe)] = 0
                _gather(harvest, report, waiting.get(pipe))
            observe(harvest, time.monotonic() - start_s)
    return harvest


_Pipe: TypeAlias = "Connection[Start | Stop, Report]"


def _tell(pipes: Iterable[_Pipe], order: Start | Stop) -> None:
    for pipe in pipes:
        with suppress(ConnectionError):  # it has ended; its last words are there to be read
            pipe.send(order)


def _await_ready(pipes: dict[_Pipe, int]) -> None:
    for pipe in pipes:
        report = _received(pipe)
        if not isinstance(report, Ready):
            raise BatchproofError(f"a load process began with {report}")


def _gather(harvest: Harvest, report: Report, number: int | None) -> None:
    match report:
        case Progress(slices=slices, in_flight=in_flight):
            harvest.slices.extend(slices)
            if number is not None:
                harvest.in_flight[number] = in_flight
        case Finished(slices=slices):
            harvest.slices.extend(slices)
            harvest.finished.append(report)


def _received(pipe: _Pipe) -> Report:
    try:
        report = pipe.recv()
    except (EOFError, ConnectionError) as gone:
        raise BatchproofError("a load process died, expected it to finish") from gone
    if isinstance(report, Failed):
        raise BatchproofError(report.message)
    return report


def _readable(pipes: dict[_Pipe, int]) -> list[_Pipe]:
    found: list[Any] = wait(list(pipes), timeout=_LOOK_EVERY_S)
    return found


@contextmanager
def _spawned(jobs: Sequence[Job]) -> Iterator[dict[_Pipe, int]]:
    # gRPC does not survive a fork; a fresh interpreter does.
    context = multiprocessing.get_context("spawn")
    processes = []
    pipes: dict[_Pipe, int] = {}
    for number, job in enumerate(jobs):
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, job), daemon=True)
        with _deaf_to_interrupts():
            process.start()
        theirs.close()
        processes.append(process)
        pipes[ours] = number
    try:
        yield pipes
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process, pipe in zip(processes, pipes, strict=True):
            process.join()
            pipe.close()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started meanwhile never sees Ctrl-C, not even while it loads its modules."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
