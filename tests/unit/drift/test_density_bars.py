"""The bars of a signal's histogram."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.drift.binning import bins_of, decile_edges
from batchproof_server.drift.profile import SignalReference
from batchproof_server.offline.reference_profile.plots import density_bars

# Between 0 and 1, where some values are atoms and some lie as near as two floats can.
VALUES = st.one_of(
    st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, float(np.nextafter(1, 0)), 1 - 1e-9])
)


def reference(values: list[float]) -> SignalReference:
    array = np.array(values)
    edges = decile_edges(array, (0.0, 1.0))
    counts = np.bincount(bins_of(array, np.array(edges)), minlength=len(edges) + 1)
    return SignalReference(
        edges,
        tuple(counts.tolist()),
        float(array.mean()),
        float(array.std()),
        min(values),
        max(values),
    )


@given(
    st.lists(VALUES, min_size=2, max_size=60).filter(
        lambda values: max(values) - min(values) > 1e-6
    )
)
def test_bars_lie_side_by_side_are_wide_enough_to_see_and_hold_all_observations(
    values: list[float],
) -> None:
    left, width, density = density_bars(reference(values))

    assert (width * density).sum() == pytest.approx(1)
    assert width.min() >= (max(values) - min(values)) / 100 * (1 - 1e-9)
    np.testing.assert_allclose(left[1:], (left + width)[:-1])
    assert (left[0], (left + width)[-1]) == (min(values), pytest.approx(max(values)))


def test_many_bins_near_the_end_are_one_bar_as_high_as_they_are_together() -> None:
    confident = [0.2] * 20 + [0.999 + number * 1e-5 for number in range(80)]
    left, width, density = density_bars(reference(confident))
    assert (width * density)[-1] == pytest.approx(0.8, abs=0.2)
    assert len(left) <= 3
