"""Rows far from the reference are told from those that are only unusual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.drift.far_rows import UsualMeans

USUAL = UsualMeans(-0.9, 0.7)
inside = st.floats(USUAL.least, USUAL.greatest)


@given(st.lists(inside, min_size=1))
def test_no_row_of_the_reference_is_far(means: list[float]) -> None:
    assert USUAL.far(means) is None


@pytest.mark.parametrize("mean", [-1.0, 1.0, 2.2, -2.4])
def test_black_and_white_and_what_is_a_span_away_is_not_far(mean: float) -> None:
    assert USUAL.far([mean]) is None


@pytest.mark.parametrize("mean", [127.5, 2.31, -2.51, np.inf])
def test_another_unit_is_far(mean: float) -> None:
    found = USUAL.far([0.1, mean, mean])
    assert found is not None
    assert (found.rows, found.first, found.mean) == (2, 1, mean)
    assert f"its mean is {mean:.4g}, theirs are -0.9 to 0.7" in str(found)


def test_nan_is_nowhere() -> None:
    assert USUAL.far([np.nan]) is None
