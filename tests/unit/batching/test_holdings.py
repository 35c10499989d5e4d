"""Who holds more than another: addresses first, then the connections of one address."""

from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.batching.connections import Holdings

peers = st.builds(lambda host, port: f"ipv4:10.0.0.{host}:{port}", *[st.integers(1, 3)] * 2)


def holding(**counts: int) -> Holdings:
    holdings = Holdings()
    for name, count in counts.items():
        for _ in range(count):
            holdings.add(name.replace("_", ":"))
    return holdings


def test_many_connections_of_one_address_hold_its_share_together() -> None:
    crowd = holding(**{f"crowd_{number}": 1 for number in range(8)})
    assert str(crowd.more_than("polite:1")).startswith("crowd:")
    assert crowd.more_than("crowd:9") is None


def test_a_connection_finds_its_share_of_what_its_address_holds() -> None:
    assert holding(host_a=7, host_b=1).more_than("host:c") == "host:a"
    assert holding(host_a=2, host_b=1).more_than("host:b") is None


@given(held=st.lists(peers, max_size=30), newcomer=peers)
def test_whoever_is_named_holds_more_and_nobody_is_passed_over(
    held: list[str], newcomer: str
) -> None:
    holdings = Holdings()
    for peer in held:
        holdings.add(peer)

    def at(peer: str) -> int:
        return sum(each.rpartition(":")[0] == peer.rpartition(":")[0] for each in held)

    named = holdings.more_than(newcomer)
    if named is None:
        assert all(at(each) <= at(newcomer) + 1 for each in held if at(each) != at(newcomer))
    else:
        same_address = at(named) == at(newcomer) and named.rpartition(":")[0] in newcomer
        assert at(named) > at(newcomer) + 1 or (
            same_address and held.count(named) > held.count(newcomer) + 1
        )
    for peer in held:
        holdings.remove(peer)
    assert not holdings._of
