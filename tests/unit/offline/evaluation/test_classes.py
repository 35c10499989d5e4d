"""What is found of each class, against counts by hand, and which of many are named."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.intervals import share_interval
from batchproof_server.offline.evaluation.classes import (
    ClassFigures,
    Confusion,
    choose_lowest,
    class_figures,
    confusions,
)

COUNTS = np.array([[5, 1, 0], [2, 0, 2], [0, 0, 0]])


def test_each_class_has_its_pictures_its_answers_and_what_is_right_of_both() -> None:
    assert class_figures(("a", "b", "c"), COUNTS) == (
        ClassFigures("a", pictures=6, answered=7, right=5),
        ClassFigures("b", pictures=4, answered=1, right=0),
        ClassFigures("c", pictures=0, answered=2, right=0),
    )


def test_the_most_confused_pairs_come_first_and_of_equal_ones_the_smaller_class() -> None:
    assert confusions(("a", "b", "c"), COUNTS) == (
        Confusion("b", "a", pictures=2, of_pictures=4),
        Confusion("b", "c", pictures=2, of_pictures=4),
        Confusion("a", "b", pictures=1, of_pictures=6),
    )


def test_one_wrong_picture_of_one_says_less_than_nine_of_ten() -> None:
    shares = {"once": (0, 1), "often": (1, 10), "right": (7, 7), "absent": (0, 0)}
    chosen = choose_lowest(shares, shares.__getitem__, 9)
    assert chosen.shown == ("often", "once")
    assert chosen.others == ("right",)
    assert chosen.absent == ("absent",)


SHARES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair)))
)


@given(SHARES, st.integers(0, 5))
def test_every_class_is_named_or_counted_once_and_no_other_is_lower(
    shares: list[tuple[int, int]], most: int
) -> None:
    chosen = choose_lowest(range(len(shares)), shares.__getitem__, most)
    everywhere = [*chosen.shown, *chosen.others, *chosen.absent]
    assert sorted(everywhere) == list(range(len(shares)))
    assert [shares[each][1] for each in chosen.absent] == [0] * len(chosen.absent)
    highest = [share_interval(*shares[each], 0.95).high for each in chosen.shown]
    assert highest == sorted(highest)
    assert all(right < pictures for right, pictures in map(shares.__getitem__, chosen.shown))
    faulty = [each for each in chosen.others if shares[each][0] < shares[each][1]]
    assert not faulty or len(chosen.shown) == most
    rest = [share_interval(*shares[each], 0.95).high for each in faulty]
    assert max(highest, default=0.0) <= min(rest, default=1.0)
