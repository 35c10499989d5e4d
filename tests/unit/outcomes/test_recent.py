"""The settings of the memory, and what an answer really takes."""

import tracemalloc

import numpy as np
import pytest

from batchproof_server.outcomes.recent import PredictedRows, RecentAnswers
from batchproof_server.outcomes.settings import OutcomeSettings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_remembered_rows": -1}, "max_remembered_rows is -1, expected 0 or more"),
        ({"max_counted_bytes": -1}, "max_counted_bytes is -1, expected 0 or more"),
        ({"max_remembered_bytes": -1}, "max_remembered_bytes is -1, expected 0 or more"),
        ({"max_age_s": 0.0}, "max_age_s is 0.0, expected a positive number"),
        ({"max_age_s": float("nan")}, "max_age_s is nan, expected a positive number"),
        ({"max_age_s": float("inf")}, "max_age_s is inf, expected a positive number"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        OutcomeSettings(**settings)  # type: ignore[arg-type] # as a file gives them


@pytest.mark.parametrize("rows", [1, 8])
def test_the_count_of_bytes_is_not_below_what_python_takes(rows: int) -> None:
    memory = RecentAnswers(OutcomeSettings())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(4_000):
            predicted = np.full(rows, number, np.uint32).tobytes()
            confidences = np.full(rows, 0.5, np.float32).tobytes()
            answer = PredictedRows("m", 1, predicted, confidences)
            memory.remember(f"{number:032x}", answer, 0.0, number.to_bytes(12))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before <= memory.remembered_bytes
