"""Which of a sequence of events are picked: a share of them, without a random number. Pure."""

import hashlib
import math

SMALLEST_SHARE = 1e-9


def turn(purpose: str, number: int) -> int:
    """A number from 0 to 2^64 - 1 that looks random and depends on the arguments alone.

    It is the first 8 bytes of BLAKE2b, so that equal sequences of requests are checked equally.
    """
    digest = hashlib.blake2b(f"{purpose}:{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


# Contract
#
# The sequence is cut into stretches of 1 / share events (rounded up, one by one, so that nothing
# adds up), and one event of each is picked: of n events n x share are, give or take one. The place
# inside a stretch is a hash of its number, so that a client which repeats itself every thousand
# requests cannot always or never be met. The first event of all is picked: a model that is seldom
# asked is checked all the same.
class Sampler:
    """Picks a share of the events that it is told of.

    Args:
        share: 0 picks nothing, 1 everything; else at least ``SMALLEST_SHARE``.
        purpose: samplers of different purposes pick independently.
    """

    def __init__(self, share: float, purpose: str) -> None:
        self._share = share
        self._purpose = purpose
        self._events = 0
        self._stretch = 0
        self._next = 0 if share > 0 else -1

    def picks(self) -> bool:
        """Whether the next event is picked; costs one comparison when it is not."""
        event = self._events
        self._events += 1
        if event != self._next:
            return False
        self._stretch += 1
        self._next = self._place()
        return True

    def _place(self) -> int:
        start = math.ceil(self._stretch / self._share)
        stop = math.ceil((self._stretch + 1) / self._share)
        return start + turn(self._purpose, self._stretch) % max(1, stop - start)
