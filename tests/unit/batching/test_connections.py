"""Which connections are of one caller, and how they take turns."""

import pytest

from batchproof_server.batching.connections import Connections, address_of
from batchproof_server.batching.task import Task


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:50123", "ipv4:10.0.0.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:80", "20010db800010002"),
        ("ipv6:[2001:db8:1:2:ffff::1]:443", "20010db800010002"),
        ("ipv6:%5Bfe80::1%25eth0%5D:80", "fe80000000000000"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:80", "10.0.0.7"),
        ("ipv6:nonsense:80", "ipv6:nonsense"),
        ("unix:", "unix"),
        ("", ""),
        ("greedy", "greedy"),
        (7, 7),
    ],
)
def test_a_caller_is_an_address_and_of_ipv6_a_network(peer: object, address: object) -> None:
    assert address_of(peer) == address


def test_a_connection_that_was_away_has_no_credit_for_it() -> None:
    connections: Connections[str] = Connections()
    for number in range(6):
        task = Task(f"a{number}", 1, caller="host:a")
        connections.add(task)
        connections.take(task)
        connections.remove(task)
    for name in "ab":
        for number in range(3):
            connections.add(Task(f"{name}{number}", 1, caller=f"host:{name}"))
    assert [task.payload for task in connections] == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_withdrawn_task_does_not_put_newcomers_behind_those_before_it() -> None:
    connections: Connections[str] = Connections()
    tasks = [Task("greedy", 1, caller="host:a") for _ in range(9)]
    for task in tasks:
        connections.add(task)
    connections.remove(tasks[-1])
    connections.add(Task("polite", 1, caller="host:b"))
    assert [task.payload for task in connections][1] == "polite"


def test_what_is_in_front_of_a_row_does_not_count_what_others_have_behind_it() -> None:
    connections: Connections[str] = Connections()
    for _ in range(500):
        connections.add(Task("greedy", 1, caller="host:a"))
    assert connections.rows_until("host:b", 1) == 2
    assert connections.rows_until("host:a", 1) == 501


def test_whoever_has_the_most_gives_way_first_and_nobody_who_has_less() -> None:
    connections: Connections[str] = Connections()
    for name, count in (("a", 4), ("b", 2), ("c", 1)):
        for number in range(count):
            connections.add(Task(f"{name}{number}", 1, caller=f"host:{name}"))
    given = [task.payload for task in connections.latest_first(1, spared="host:c")]
    assert given == ["a3", "a2", "a1", "b1"]
