"""Who holds how much of what calls share, and who holds more than somebody else."""

from collections.abc import Hashable, Mapping

from batchproof_server.batching.connections import address_of


# Contract
#
# A caller is an address. Its connections share what it holds, in the same way: so ``more_than``
# looks among the addresses first, and among the connections of the caller's own one after that.
# A connection is remembered while it holds anything.
class Holdings:
    """Counts what each connection holds, by its address."""

    def __init__(self) -> None:
        self._of: dict[Hashable, dict[str, int]] = {}

    def add(self, peer: str) -> None:
        """A connection holds one more."""
        connections = self._of.setdefault(address_of(peer), {})
        connections[peer] = connections.get(peer, 0) + 1

    def remove(self, peer: str) -> None:
        """It holds one fewer."""
        address = address_of(peer)
        connections = self._of[address]
        connections[peer] -= 1
        if not connections[peer]:
            del connections[peer]
        if not connections:
            del self._of[address]

    def more_than(self, peer: str) -> str | None:
        """The connection that holds more than this one would with one more; None without such."""
        own_address = address_of(peer)
        held = {address: sum(each.values()) for address, each in self._of.items()}
        most = max(held, key=held.__getitem__, default=own_address)
        if most != own_address and held[most] > held.get(own_address, 0) + 1:
            return _largest(self._of[most])
        beside = self._of.get(own_address, {})
        largest = _largest(beside) if beside else peer
        return largest if beside.get(largest, 0) > beside.get(peer, 0) + 1 else None


def _largest(held: Mapping[str, int]) -> str:
    return max(held, key=held.__getitem__)
