"""Pauses between tries grow, are bounded, and begin anew once something has stood."""

from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.backoff import BackOff, Streak

FAILURES = st.integers(1, 10_000)
LUCK = st.floats(0, 1, exclude_max=True)
BACK_OFFS = st.builds(
    BackOff,
    first_s=st.floats(0.01, 100),
    longest_s=st.floats(0.01, 10_000),
    healthy_s=st.floats(0.1, 1000),
    at_once=st.integers(0, 3),
    jitter_share=st.floats(0, 1),
)
GAPS_S = st.lists(st.floats(0, 200), max_size=30)


@given(back_off=BACK_OFFS, failures=FAILURES, luck=LUCK)
def test_a_pause_is_bounded_and_chance_takes_no_more_than_its_share(
    back_off: BackOff, failures: int, luck: float
) -> None:
    whole_s, pause_s = back_off.pause_s(failures, 0.0), back_off.pause_s(failures, luck)
    assert 0.0 <= pause_s <= whole_s <= back_off.longest_s
    assert pause_s >= whole_s * (1 - back_off.jitter_share)


@given(back_off=BACK_OFFS, failures=FAILURES)
def test_without_chance_pauses_never_shrink_while_failures_go_on(
    back_off: BackOff, failures: int
) -> None:
    assert back_off.pause_s(failures, 0.0) <= back_off.pause_s(failures + 1, 0.0)


@given(back_off=BACK_OFFS, luck=LUCK)
def test_the_first_failures_are_answered_at_once_and_only_they(
    back_off: BackOff, luck: float
) -> None:
    pauses_s = [back_off.pause_s(failures, 0.0) for failures in range(1, back_off.at_once + 2)]
    assert pauses_s[:-1] == [0.0] * back_off.at_once
    assert pauses_s[-1] == min(back_off.first_s, back_off.longest_s)
    assert all(not back_off.pause_s(each, luck) for each in range(1, back_off.at_once + 1))


@given(stood_s=GAPS_S)
def test_failures_count_in_a_row_until_something_stood_for_the_stated_time(
    stood_s: list[float],
) -> None:
    healthy_s, now_s, in_a_row = 60.0, 0.0, 0
    streak = Streak(healthy_s, now_s)
    for gap_s in stood_s:
        start_s, now_s = now_s, now_s + gap_s
        in_a_row = 1 if now_s - start_s >= healthy_s else in_a_row + 1
        assert streak.fail(now_s) == in_a_row
        streak.stand(now_s)


@given(waited_s=GAPS_S)
def test_what_never_came_to_stand_is_not_healthy_however_long_it_took(
    waited_s: list[float],
) -> None:
    now_s = 0.0
    streak = Streak(1.0, now_s)
    streak.fail(now_s)
    for count, gap_s in enumerate(waited_s, start=2):
        now_s += gap_s
        assert streak.fail(now_s) == count
