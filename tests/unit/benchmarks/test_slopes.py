"""The slopes of a soak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopes import Sample, after, slopes_per_hour


@given(
    st.floats(-50, 50), st.floats(-50, 50), st.lists(st.integers(0, 3600), min_size=2, unique=True)
)
def test_what_grows_evenly_has_that_slope(
    memory: float, descriptors: float, times_s: list[int]
) -> None:
    samples = [
        Sample(float(at), 100 + memory * at / 3600, 20 + descriptors * at / 3600, 7)
        for at in times_s
    ]
    slopes = slopes_per_hour(samples)
    assert slopes["memory_mb"] == pytest.approx(memory, abs=1e-6)
    assert slopes["descriptors"] == pytest.approx(descriptors, abs=1e-6)
    assert slopes["threads"] == pytest.approx(0, abs=1e-6)


def test_what_came_before_the_end_of_the_warm_up_is_left_out() -> None:
    samples = [Sample(float(at), 0, 0, 0) for at in range(4)]
    assert after(samples, 2) == samples[2:]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_one_moment_has_no_slope(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} samples, expected 2 or more"):
        slopes_per_hour([Sample(1.0, 0, 0, 0)] * count)
