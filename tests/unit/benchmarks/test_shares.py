"""The simulation of a greedy and a polite caller: every run gives the same figures."""

import pytest

from batchproof_server.base.priorities import PRIORITIES, Priority
from batchproof_server.batching.priorities import WEIGHTS
from shares import GREEDY, LIMITS, POLITE, Habits, Outcome, Simulation

DURATION_S = 4.0
LONGEST_EXECUTION_S = max(LIMITS.buckets_cost)


def played(
    *callers: str,
    has_shares: bool = True,
    greedy_rows: int = 1,
    polite_peer: str = f"{POLITE}:1",
    connections: int = 1,
    priorities: tuple[Priority, Priority] = ("default", "default"),
) -> Outcome:
    peers = [f"{GREEDY}:{number}" for number in range(connections)]
    habits = {
        GREEDY: Habits(peers, greedy_rows, priorities[0]),
        POLITE: Habits([polite_peer], priority=priorities[1]),
    }
    simulation = Simulation({each: habits[each] for each in callers}, has_shares=has_shares)
    return simulation.run(DURATION_S)


@pytest.mark.parametrize("polite_peer", [f"{POLITE}:1", f"{GREEDY}:polite"])
@pytest.mark.parametrize("greedy_rows", [1, 8, 32])
def test_a_polite_caller_is_answered_within_three_executions_whatever_another_sends(
    greedy_rows: int, polite_peer: str
) -> None:
    outcome = played(GREEDY, POLITE, greedy_rows=greedy_rows, polite_peer=polite_peer)
    assert outcome.refused[POLITE] == outcome.displaced[POLITE] == 0
    assert outcome.answered[POLITE] >= outcome.asked[POLITE] - 2
    assert max(outcome.latencies_s[POLITE]) <= 3 * LONGEST_EXECUTION_S


def test_a_polite_caller_loses_nothing_to_an_address_with_many_connections() -> None:
    outcome = played(GREEDY, POLITE, connections=200)
    assert outcome.refused[POLITE] == outcome.displaced[POLITE] == 0
    assert max(outcome.latencies_s[POLITE]) <= 3 * LONGEST_EXECUTION_S


def test_without_shares_nearly_all_of_its_requests_were_refused() -> None:
    outcome = played(GREEDY, POLITE, has_shares=False)
    assert outcome.refused[POLITE] > 0.9 * outcome.asked[POLITE]


def test_a_greedy_caller_that_is_alone_gets_what_it_got_without_shares() -> None:
    alone, before = played(GREEDY), played(GREEDY, has_shares=False)
    assert alone == before
    assert alone.displaced.total() == 0


def test_the_device_is_never_idle_for_the_sake_of_shares() -> None:
    outcome = played(GREEDY, POLITE)
    assert outcome.busy_s >= DURATION_S
    rows = outcome.answered.total()
    assert rows >= played(GREEDY).answered.total() - 2 * LIMITS.max_batch_rows


@pytest.mark.parametrize("greedy_rows", [1, 32])
@pytest.mark.parametrize("greedy", PRIORITIES[1:])
def test_a_critical_request_is_in_the_next_micro_batch_whatever_waits(
    greedy_rows: int, greedy: Priority
) -> None:
    outcome = played(GREEDY, POLITE, greedy_rows=greedy_rows, priorities=(greedy, "critical"))
    assert outcome.refused[POLITE] == outcome.displaced[POLITE] == 0
    assert max(outcome.latencies_s[POLITE]) <= 2 * LONGEST_EXECUTION_S + 1e-9
    assert outcome.busy_s >= DURATION_S


@pytest.mark.parametrize("polite", PRIORITIES[1:])
def test_no_greedy_critical_caller_starves_who_is_less_urgent(polite: Priority) -> None:
    outcome = played(GREEDY, POLITE, priorities=("critical", polite))
    rows = outcome.answered[GREEDY] * WEIGHTS[polite] // WEIGHTS["critical"]
    assert outcome.answered[POLITE] >= min(outcome.asked[POLITE], rows) - 8
    assert outcome.displaced[POLITE] == 0
