"""What each bucket takes is measured so that a slow moment tells none of them from the others."""

from collections.abc import Callable

import pytest

from batchproof_server.base.signature import Tensors
from batchproof_server.models.warm_up import measure_execution_s
from support.fakes import ElementwiseBackend, FakeClock

BUCKETS_ROWS = (1, 2, 4, 8)
ROW_S = 0.004


class TimedBackend(ElementwiseBackend):
    """Takes ``ROW_S`` a row, times how slow the machine is at that instant."""

    def __init__(self, clock: FakeClock, slowness: Callable[[float], float]) -> None:
        super().__init__(3)
        self._clock = clock
        self._slowness = slowness
        self._begun_s = clock.now_s()

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes while the clock goes on."""
        outputs = super().execute(inputs)
        passed_s = self._clock.now_s() - self._begun_s
        self._clock.advance(ROW_S * len(inputs["x"]) * self._slowness(passed_s))
        return outputs


def measured_s(slowness: Callable[[float], float]) -> tuple[tuple[float, ...], TimedBackend]:
    clock = FakeClock()
    backend = TimedBackend(clock, slowness)
    return measure_execution_s(backend, BUCKETS_ROWS, clock), backend


def test_each_bucket_has_the_time_of_its_own_executions() -> None:
    took_s, _ = measured_s(lambda _: 1.0)
    assert took_s == pytest.approx([ROW_S * rows for rows in BUCKETS_ROWS])


@pytest.mark.parametrize("until_s", [0.01, 0.03, 0.07, 0.1, 0.2])
def test_a_slow_beginning_makes_no_bucket_look_dearer_than_the_others(until_s: float) -> None:
    took_s, _ = measured_s(lambda passed_s: 3.0 if passed_s < until_s else 1.0)
    assert took_s == pytest.approx([ROW_S * rows for rows in BUCKETS_ROWS])


def test_a_machine_that_is_slow_all_the_time_is_slow_for_all_buckets() -> None:
    took_s, _ = measured_s(lambda _: 5.0)
    assert took_s == pytest.approx([5 * ROW_S * rows for rows in BUCKETS_ROWS])


def test_a_model_that_takes_long_is_measured_once_in_each_bucket() -> None:
    _, backend = measured_s(lambda _: 100.0)
    assert [shape[0] for shape in backend.shapes] == list(BUCKETS_ROWS)
