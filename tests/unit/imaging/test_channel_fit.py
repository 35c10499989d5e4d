"""Which scaling of each channel makes one array of another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.imaging.channel_fit import channel_fit
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place

LEVELS = np.random.default_rng(1).integers(0, 256, (9, 7, 3)).astype(np.float32)
numbers = st.floats(-4, 4).filter(lambda value: abs(value) > 1e-3)


@given(st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers))
def test_whatever_is_linear_in_the_levels_of_a_channel_leaves_nothing(
    slopes: tuple[float, ...], offsets: tuple[float, ...]
) -> None:
    tensor = LEVELS.astype(np.float64) / 255 * np.array(slopes) + np.array(offsets)
    fit = channel_fit(LEVELS, tensor)
    assert fit.residual_ratio < 1e-9
    assert fit.black == pytest.approx(offsets, abs=1e-6)
    assert fit.white == pytest.approx(np.add(slopes, offsets), abs=1e-6)


def test_another_geometry_leaves_most_of_it() -> None:
    assert channel_fit(LEVELS, LEVELS[::-1] / 255).residual_ratio > 0.5


def test_a_tensor_without_contrast_is_explained_by_nothing() -> None:
    assert channel_fit(LEVELS, np.zeros_like(LEVELS)).residual_ratio == 1.0


def test_of_levels_without_contrast_nothing_is_left() -> None:
    assert channel_fit(np.ones_like(LEVELS), np.zeros_like(LEVELS)).residual_ratio == 0.0


def test_a_fit_is_written_as_mean_and_std() -> None:
    row = normalize_in_place(LEVELS.copy(), NormalizeSettings(mean=(1.0, 2.0, 3.0), std=(4.0,)))
    found = channel_fit(LEVELS, row).mean_and_std
    assert found is not None
    assert found.mean == pytest.approx((1, 2, 3), abs=1e-4)
    assert found.std == pytest.approx((4, 4, 4), abs=1e-4)


def test_a_channel_that_keeps_nothing_has_no_mean_and_std() -> None:
    assert channel_fit(LEVELS, LEVELS * np.array([1, 0, 1])).mean_and_std is None
