"""What the memory of counted rows really takes."""

import tracemalloc

import pytest

from batchproof_server.outcomes.counted import CountedRows


@pytest.mark.parametrize("rows", [3_000, 12_000, 40_000])
def test_it_takes_no_more_than_its_bytes_however_much_is_reported(rows: int) -> None:
    max_bytes = rows * 192
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        counted = CountedRows(max_bytes)
        for number in range(3 * rows):
            counted.add(number.to_bytes(16))
            after, _ = tracemalloc.get_traced_memory()
            assert after - before <= max_bytes
    finally:
        tracemalloc.stop()
    assert len(counted) == rows


def test_without_room_nothing_is_kept() -> None:
    counted = CountedRows(0)
    counted.add(bytes(16))
    assert len(counted) == 0
