"""Stand-ins for time, the device and the engine that a test moves with its own hand.

None of them sleeps. What must be waited for is a condition, and waiting for it has a limit.
"""

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import numpy as np

from batchproof_server.base.events import (
    BatchRecord,
    DecodeRecord,
    Event,
    IsolationRecord,
    PredictionRecord,
    QueueChanged,
    RefusedUnread,
    RequestRecord,
    RequestsFinished,
    RequestsScored,
    SelfCheckRecord,
    ShedRecord,
    Subscription,
)
from batchproof_server.base.signature import Array, Signature, Tensors, TensorSpec
from support.patience import PATIENCE_S as PATIENCE_S
from support.patience import where_tasks_wait

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class FakeTimer:
    """A timer of :class:`FakeClock`."""

    when_s: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        """Makes sure that the call does not happen."""
        self.cancelled = True


class FakeClock:
    """A clock that moves only when it is told to, and rings on the way."""

    def __init__(self, start_s: float = 1_000.0) -> None:
        self._now_s = start_s
        self._timers: list[FakeTimer] = []

    def now_s(self) -> float:
        """The instant that the test has set."""
        return self._now_s

    def call_at(self, when_s: float, callback: Callable[[], None]) -> FakeTimer:
        """Calls back while ``advance`` passes ``when_s``; never inside this call."""
        timer = FakeTimer(when_s, callback)
        self._timers.append(timer)
        return timer

    def advance(self, duration_s: float) -> None:
        """Moves time forward; each alarm on the way rings at its own instant, in order."""
        self.advance_to(self._now_s + duration_s)

    def advance_to(self, when_s: float) -> None:
        """Moves time forward to ``when_s``."""
        if when_s < self._now_s:
            raise ValueError("time never goes back")
        while due := [timer for timer in self._alive() if timer.when_s <= when_s]:
            first = min(due, key=lambda timer: timer.when_s)
            self._timers.remove(first)
            self._now_s = max(self._now_s, first.when_s)
            first.callback()
        self._now_s = when_s

    @property
    def alarms_s(self) -> tuple[float, ...]:
        """The instants at which something is due, ascending."""
        return tuple(sorted(timer.when_s for timer in self._alive()))

    def _alive(self) -> list[FakeTimer]:
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        return self._timers


class PuppetDevice(Executor):
    """An executor without a thread: jobs wait until the test runs them."""

    def __init__(self) -> None:
        self._jobs: list[Callable[[], None]] = []
        self._futures: list[Future[Any]] = []
        self._is_shut_down = False

    def submit(
        self,
        fn: Callable[Parameters, Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Future[Result]:
        """Keeps a job."""
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as failure:  # noqa: BLE001 - as a real executor does
                future.set_exception(failure)

        self._jobs.append(run)
        self._futures.append(future)
        return future

    @property
    def waiting_jobs(self) -> int:
        """Jobs that were not run yet."""
        return len(self._jobs)

    def run_next(self) -> None:
        """Runs the oldest job here and now."""
        self._jobs.pop(0)()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the signature of Executor
        """Refuses jobs; on request cancels those that wait."""
        self._is_shut_down = True
        if cancel_futures:
            self._jobs.clear()
            for future in self._futures:
                future.cancel()


def spec(name: str, *row_shape: int | None, dtype: str = "float64") -> TensorSpec:
    """A tensor specification."""
    return TensorSpec(name, np.dtype(dtype), row_shape)


class ElementwiseBackend:
    """Exact arithmetic on one input: ``y = 2 x + 1``, so that each row names itself.

    Args:
        row_shape: the shape of a row of ``x`` and of ``y``.
    """

    def __init__(self, *row_shape: int | None) -> None:
        self._signature = Signature((spec("x", *row_shape),), (spec("y", *row_shape),))
        self.shapes: list[tuple[int, ...]] = []
        self.batches: list[Array] = []
        self.is_closed = False

    @property
    def signature(self) -> Signature:
        """One input and one output."""
        return self._signature

    @property
    def engine(self) -> str:
        """Not an engine."""
        return "elementwise 1"

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes, and remembers what it was given."""
        self.shapes.append(inputs["x"].shape)
        self.batches.append(inputs["x"].copy())
        return {"y": 2 * inputs["x"] + 1}

    def close(self) -> None:
        """Remembers it."""
        self.is_closed = True


class GatedBackend(ElementwiseBackend):
    """Holds each execution until the test lets it through; records the shapes that it was given.

    The device thread waits inside ``execute``; ``release`` is called on any other thread.
    """

    def __init__(self, *row_shape: int | None) -> None:
        super().__init__(*row_shape)
        self._condition = threading.Condition()
        self._entered = 0
        self._released = 0

    def execute(self, inputs: Tensors) -> Tensors:
        """Waits for its release, then computes."""
        with self._condition:
            number = self._entered
            self._entered += 1
            self._condition.notify_all()
            if not self._condition.wait_for(lambda: self._released > number, PATIENCE_S):
                raise TimeoutError("the test never released this execution")
        return super().execute(inputs)

    def release(self, executions: int = 1) -> None:
        """Lets that many executions through, running or to come."""
        with self._condition:
            self._released += executions
            self._condition.notify_all()

    def release_all(self) -> None:
        """Lets every execution through, running or to come."""
        self.release(sys.maxsize)

    @property
    def executions(self) -> int:
        """How many have begun since the start."""
        return self._entered

    async def entered(self, executions: int = 1) -> None:
        """Returns when that many executions have begun since the start."""

        def wait() -> bool:
            with self._condition:
                return self._condition.wait_for(lambda: self._entered >= executions, PATIENCE_S)

        began = await asyncio.to_thread(wait)
        assert began, f"{executions} executions never began; tasks wait:\n{where_tasks_wait()}"


class Poisoned(RuntimeError):
    """What :class:`PoisonBackend` raises."""


class PoisonBackend(ElementwiseBackend):
    """Fails when a row holds the poison; or else answers as ``answer`` makes it.

    Args:
        poison: a value that no healthy row holds.
        answer: turns healthy outputs into malformed ones, for batches that hold the poison; without
            it such a batch raises :class:`Poisoned`.
        row_shape: the shape of a row.
    """

    def __init__(
        self,
        *row_shape: int | None,
        poison: float = 666.0,
        answer: Callable[[Tensors], Any] | None = None,
    ) -> None:
        super().__init__(*row_shape)
        self.poison = poison
        self._answer = answer

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes, or fails in the way that was asked for."""
        outputs = super().execute(inputs)
        if not (inputs["x"] == self.poison).any():
            return outputs
        if self._answer is None:
            raise Poisoned("poison in the batch")
        malformed: Tensors = self._answer(outputs)
        return malformed


def every_event() -> tuple[type[Event], ...]:
    """Every kind of event there is, as far as it was imported."""
    # A dataclass with slots is made twice, and the second one is the one in use.
    return tuple({kind.__qualname__: kind for kind in Event.__subclasses__()}.values())


Kind = TypeVar("Kind", bound=Event)


@dataclass(slots=True)
class Recorder:
    """An observer, and a subscriber to every event, that remembers everything."""

    events: list[Event] = field(default_factory=list)

    def notify(self, event: Event) -> None:
        """Remembers it."""
        self.events.append(event)

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """All events."""
        return [Subscription(kind, self.notify) for kind in every_event()]

    def _of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def requests(self) -> list[RequestRecord]:
        """The finished requests."""
        return [each for event in self._of(RequestsFinished) for each in event.records]

    @property
    def refused(self) -> list[RefusedUnread]:
        """The calls that were refused before they were read."""
        return self._of(RefusedUnread)

    @property
    def batches(self) -> list[BatchRecord]:
        """The executed micro-batches."""
        return self._of(BatchRecord)

    @property
    def isolations(self) -> list[IsolationRecord]:
        """The micro-batches that failed and were executed in parts."""
        return self._of(IsolationRecord)

    @property
    def predictions(self) -> list[PredictionRecord]:
        """The scores of requests."""
        return [each for event in self._of(RequestsScored) for each in event.records]

    @property
    def decoded(self) -> list[DecodeRecord]:
        """The decoded pictures."""
        return self._of(DecodeRecord)

    @property
    def shed(self) -> list[ShedRecord]:
        """The requests that were answered without execution."""
        return self._of(ShedRecord)

    @property
    def queue_rows(self) -> list[int]:
        """How many rows waited, each time that it changed."""
        return [event.rows for event in self._of(QueueChanged)]

    @property
    def self_checks(self) -> list[SelfCheckRecord]:
        """The answers that were selected to be tried again."""
        return self._of(SelfCheckRecord)

    @property
    def shed_reasons(self) -> list[str]:
        """Why requests were answered without execution, in order."""
        return [record.reason for record in self.shed]


async def until(condition: Callable[[], bool]) -> None:
    """Returns when ``condition`` holds; lets the loop run in between, without sleeping.

    For what the loop and its threads do on their own; fails after :data:`PATIENCE_S`.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s, f"it never came; tasks wait:\n{where_tasks_wait()}"
        await asyncio.sleep(0)


async def settle_loop(iterations: int = 10) -> None:
    """Lets everything that is ready on the loop run, and what that makes ready in turn."""
    for _ in itertools.repeat(None, iterations):
        await asyncio.sleep(0)
