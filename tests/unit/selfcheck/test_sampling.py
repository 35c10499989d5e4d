"""Which events are picked: an exact share, at places that nobody can keep step with."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.selfcheck.choosing import Sampler, turn
from batchproof_server.selfcheck.settings import SMALLEST_SHARE


def picked(share: float, events: int, purpose: str = "test") -> list[int]:
    sampler = Sampler(share, purpose)
    return [event for event in range(events) if sampler.picks()]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.001, 10), (0.01, 100), (0.3, 3_000), (0.7, 7_000), (1.0, 10_000)]
)
def test_of_10_000_events_the_share_is_picked_give_or_take_one(share: float, expected: int) -> None:
    assert abs(len(picked(share, 10_000)) - expected) <= 1


def test_a_share_of_0_picks_nothing_and_of_1_everything() -> None:
    assert picked(0, 1_000) == []
    assert picked(1, 1_000) == list(range(1_000))


@given(st.floats(SMALLEST_SHARE, 1), st.integers(0, 3_000))
def test_any_share_of_any_number_of_events_is_met_give_or_take_one(
    share: float, events: int
) -> None:
    assert abs(len(picked(share, events)) - share * events) <= 1 + 1e-6


@given(st.floats(SMALLEST_SHARE, 1))
def test_the_first_event_is_picked_and_no_gap_is_longer_than_two_stretches(share: float) -> None:
    places = picked(share, 3_000)
    assert places[0] == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise(places)]
    assert all(1 <= gap <= 2 / share + 1 for gap in gaps)


def test_the_same_events_are_picked_every_time_and_others_for_another_purpose() -> None:
    assert picked(0.01, 5_000) == picked(0.01, 5_000)
    assert picked(0.01, 5_000) != picked(0.01, 5_000, "another")


def test_a_client_that_repeats_itself_every_thousand_requests_is_met_at_many_places() -> None:
    assert len({place % 1_000 for place in picked(0.001, 100_000)}) > 80


def test_a_turn_is_one_of_64_bits_and_depends_on_purpose_and_number() -> None:
    turns = {turn(purpose, number) for purpose in ("a", "b") for number in range(1_000)}
    assert len(turns) == 2_000
    assert all(0 <= each < 2**64 for each in turns)
    assert turn("a", 1) == turn("a", 1)
