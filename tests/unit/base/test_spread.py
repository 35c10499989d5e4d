import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.spread import spread


@pytest.mark.parametrize(
    ("count", "limit", "taken"),
    [
        (3, 6, (0, 1, 2)),
        (60, 6, (0, 10, 20, 30, 40, 50)),
        (5, 2, (0, 2)),
        (0, 6, ()),
        (3, 0, ()),
        (3, None, (0, 1, 2)),
    ],
)
def test_items_are_taken_evenly_and_in_order(
    count: int, limit: int | None, taken: tuple[int, ...]
) -> None:
    assert spread(range(count), limit) == taken


@given(count=st.integers(0, 200), limit=st.integers(0, 200))
def test_the_gaps_differ_by_one_at_most_and_nothing_is_taken_twice(count: int, limit: int) -> None:
    taken = spread(range(count), limit)
    gaps = {after - before for before, after in itertools.pairwise(taken)}

    assert len(taken) == min(limit, count)
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)
