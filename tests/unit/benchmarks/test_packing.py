"""Packing by measured cost against the next bucket up; every run gives the same figures."""

import pytest

from packing import BUCKETS_ROWS, COSTS_MS, arrivals_ms, pack

REQUESTS = 4_000


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("name", list(COSTS_MS))
def test_the_cheapest_rows_are_never_slower_than_the_next_bucket_up(name: str, load: float) -> None:
    instants_ms = arrivals_ms(COSTS_MS[name], load, REQUESTS)
    up = pack(COSTS_MS[name], instants_ms, by_cost=False)
    cheapest = pack(COSTS_MS[name], instants_ms)
    assert cheapest.mean_ms <= 1.01 * up.mean_ms
    assert cheapest.p99_ms <= 1.05 * up.p99_ms
    assert cheapest.padding <= up.padding


def test_where_rows_are_not_cheaper_together_the_next_bucket_up_cannot_keep_up() -> None:
    costs_ms = COSTS_MS["cheapest in 4"]
    instants_ms = arrivals_ms(costs_ms, 0.8, REQUESTS)
    up = pack(costs_ms, instants_ms, by_cost=False)
    assert pack(costs_ms, instants_ms).p99_ms < 0.25 * up.p99_ms


def test_nine_rows_are_eight_and_one_where_a_row_costs_more_than_an_execution() -> None:
    costs_ms = tuple(0.5 + rows for rows in BUCKETS_ROWS)
    packed = pack(costs_ms, [0.0] * 9)
    assert packed.padding == 0
    assert packed.p99_ms == 8.5 + 1.5


def test_nine_rows_are_sixteen_where_further_rows_cost_next_to_nothing() -> None:
    costs_ms = tuple(0.5 + 0.001 * rows for rows in BUCKETS_ROWS)
    packed = pack(costs_ms, [0.0] * 9)
    assert packed.padding == 1 - 9 / 16
    assert packed.p99_ms == 0.516
