"""What holds for the device that is one thread, beside what holds for all."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from batchproof_server.base.signature import Tensors
from batchproof_server.devices.device import DeviceState, Executed, Execution, NotExecuted
from batchproof_server.devices.thread import ThreadDevice
from support.batcher_bench import tensors
from support.fakes import ElementwiseBackend, FakeClock, PuppetDevice, settle_loop


class Place:
    """A device on threads that the test runs itself, and what it told."""

    def __init__(self) -> None:
        self.threads: list[PuppetDevice] = []
        self.clock = FakeClock()
        self.backend = ElementwiseBackend(1)
        self.finished: list[Execution] = []
        self.device = ThreadDevice(self.backend, self._thread, self.clock)

    def _thread(self) -> PuppetDevice:
        self.threads.append(PuppetDevice())
        return self.threads[-1]

    def state(self) -> DeviceState:
        """What the device is doing now."""
        return self.device.state

    def execute(self, value: float = 1.0) -> None:
        """Gives it one row."""
        self.device.execute((tensors(value),), 2, self.finished.append)


async def test_what_is_given_up_is_told_once_and_the_device_is_stuck_until_it_comes_back() -> None:
    place = Place()
    place.execute()
    place.device.cancel()
    await settle_loop()
    assert place.state() is DeviceState.STUCK
    assert [type(each) for each in place.finished] == [NotExecuted]
    place.threads[0].run_next()
    await settle_loop()
    assert place.state() is DeviceState.IDLE
    assert len(place.finished) == 1


async def test_a_stuck_device_is_replaced_and_the_late_answer_is_nobodys() -> None:
    place = Place()
    place.execute(1.0)
    place.device.cancel()
    place.device.replace()
    assert place.state() is DeviceState.IDLE
    place.execute(2.0)
    place.threads[0].run_next()
    await settle_loop()
    assert place.state() is DeviceState.BUSY
    place.threads[1].run_next()
    await settle_loop()
    last = place.finished[-1]
    assert isinstance(last, Executed)
    assert last.parts[0]["y"].tolist() == [[5.0]]
    assert len(place.finished) == 2


async def test_a_device_that_is_gone_has_released_the_model_and_executes_nothing() -> None:
    place = Place()
    place.device.close()
    place.device.close()
    assert place.state() is DeviceState.GONE
    assert place.backend.is_closed
    place.execute()
    await settle_loop()
    assert [type(each) for each in place.finished] == [NotExecuted]


@pytest.mark.parametrize("here", [False, True])
async def test_a_failure_is_an_answer_too(here: bool) -> None:  # noqa: FBT001 - a case
    place = Place()
    wrong = ({"x": tensors(1.0)["x"][:, :0]},)
    with ThreadPoolExecutor(1) as thread:
        device = ThreadDevice(_Failing(1), partial(_same, thread), place.clock)
        if here:
            executed = device.execute_here(wrong, 2)
            assert executed is not None
            place.finished.append(executed)
        else:
            device.execute(wrong, 2, place.finished.append)
    await settle_loop()
    (failed,) = place.finished
    assert isinstance(failed, NotExecuted)
    assert isinstance(failed.cause, ArithmeticError)


class _Failing(ElementwiseBackend):
    def execute(self, inputs: Tensors) -> Tensors:
        raise ArithmeticError(sorted(inputs))


def _same(thread: ThreadPoolExecutor) -> ThreadPoolExecutor:
    return thread
