"""The quickest answers of late, against a plain list of all of them."""

from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.rpc.pace import WINDOW_S, Pace

# Sixteenths of a second are exact, as is the window.
gaps = st.integers(0, 40).map(lambda ticks: ticks / 16)


def test_nothing_is_known_before_the_first_answer() -> None:
    assert Pace().shortest_s(5.0) == 0


def test_a_server_that_answers_nothing_forgets() -> None:
    pace = Pace()
    pace.learn(0.4, 10.0)
    assert pace.shortest_s(10.9) == 0.4
    assert pace.shortest_s(10.0 + 2 * WINDOW_S) == 0


@given(answers=st.lists(st.tuples(gaps, st.floats(0.001, 9)), max_size=30), later=gaps)
def test_it_is_the_shortest_of_one_to_three_windows(
    answers: list[tuple[float, float]], later: float
) -> None:
    pace, now_s, learned = Pace(), 0.0, list[tuple[float, float]]()
    for gap_s, duration_s in answers:
        now_s += gap_s
        pace.learn(duration_s, now_s)
        learned.append((now_s, duration_s))
    now_s += later
    shortest_s = pace.shortest_s(now_s)
    sure = [took_s for at_s, took_s in learned if now_s - at_s < WINDOW_S]
    possible = [took_s for at_s, took_s in learned if now_s - at_s < 3 * WINDOW_S]
    assert shortest_s <= min(sure, default=9.0)
    assert shortest_s in (*possible, 0.0)
    assert not sure or shortest_s > 0
