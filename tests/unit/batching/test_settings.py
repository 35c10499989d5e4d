"""Settings of a queue refuse what can never work."""

import math
from typing import Any

import pytest

from batchproof_server.base.validation import InvalidSettings, parse_settings
from batchproof_server.batching.settings import BatchingSettings


def test_the_defaults_are_those_of_the_design() -> None:
    assert BatchingSettings() == BatchingSettings((2, 4, 8, 16, 32), 0.0, 512)
    assert BatchingSettings().max_batch_rows == 32


def test_the_limits_themselves_are_allowed() -> None:
    settings = BatchingSettings(buckets_rows=(1,), max_queue_delay_s=0.0, max_queued_rows=1)
    assert settings.max_batch_rows == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"buckets_rows": []}, "buckets_rows must be one or more counts from 1 up, not ()"),
        ({"buckets_rows": [0, 2]}, "buckets_rows must be one or more counts from 1 up"),
        ({"buckets_rows": [4, 2]}, "buckets_rows must ascend without repetition, not (4, 2)"),
        ({"buckets_rows": [2, 2]}, "buckets_rows must ascend without repetition, not (2, 2)"),
        ({"max_queue_delay_s": -1e-9}, "max_queue_delay_s must be 0 or more and finite"),
        ({"max_queue_delay_s": math.inf}, "max_queue_delay_s must be 0 or more and finite"),
        ({"max_queue_delay_s": math.nan}, "max_queue_delay_s must be 0 or more and finite"),
        ({"max_queued_rows": 31}, "max_queued_rows must be at least the largest bucket, 32"),
        ({"max_queued_row": 31}, "max_queued_row: unknown key"),
    ],
)
def test_a_fault_is_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidSettings) as fault:
        parse_settings(BatchingSettings, values)
    assert sentence in fault.value.faults[0]
