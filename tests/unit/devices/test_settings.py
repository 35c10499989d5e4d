"""What executes models: what can be asked for, and what cannot."""

from typing import Any

import pytest

from batchproof_server.devices.settings import DeviceSettings


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"count": 0}, "count must be 1 to 256, not 0"),
        ({"count": 2}, 'count is 2, which needs kind = "process"'),
        ({"kind": "process", "count": 257}, "not 257"),
        ({"max_memory_bytes": -1}, "max_memory_bytes must be 0 or more"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        DeviceSettings(**values)


def test_several_processes_may_execute_a_version() -> None:
    assert DeviceSettings(kind="process", count=4).count == 4
