"""Which bin a class and a confidence are counted in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.outcomes.counting import (
    CONFIDENCE_BINS,
    MAX_CLASS_BINS,
    class_bins,
    confidence_bin,
)


def test_up_to_20_classes_have_a_bin_each() -> None:
    bins = class_bins([str(each) for each in range(20)])
    assert [bins.bin_of(each) for each in range(20)] == list(range(20))
    assert bins.labels[-1] == "19"


def test_of_more_classes_the_first_19_have_a_bin_and_the_others_share_the_last() -> None:
    bins = class_bins([f"c{each}" for each in range(1_000)])
    assert len(bins.labels) == MAX_CLASS_BINS
    assert bins.labels[-1] == "other"
    assert [bins.bin_of(each) for each in (0, 18, 19, 999)] == [0, 18, 19, 19]


def test_the_largest_classes_of_the_reference_come_first() -> None:
    order = list(reversed(range(30)))
    bins = class_bins([f"c{each}" for each in range(30)], order)
    assert bins.labels[:2] == ("c29", "c28")
    assert [bins.bin_of(each) for each in (29, 11, 10, 0)] == [0, 18, 19, 19]


@pytest.mark.parametrize(
    ("confidence", "place"), [(0.0, 0), (0.0999, 0), (0.1, 1), (0.95, 9), (1.0, 9)]
)
def test_confidences_have_ten_equal_bins_and_1_belongs_to_the_last(
    confidence: float, place: int
) -> None:
    assert confidence_bin(confidence) == place


@given(st.floats(0, 1))
def test_every_confidence_has_a_bin(confidence: float) -> None:
    assert 0 <= confidence_bin(confidence) < CONFIDENCE_BINS
