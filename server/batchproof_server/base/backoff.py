"""How long to wait before what failed is tried again. Pure: time and chance are arguments."""

import math
from dataclasses import dataclass
from typing import Final

# Doubled more often, any pause is beyond any limit.
_MOST_DOUBLINGS: Final = 60


# Contract: a pause is never longer than longest_s, nor shorter than three quarters of what it is
# without chance; without chance it never shrinks while failures go on.
@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses that double.

    Attributes:
        first_s: the first pause.
        longest_s: none is longer.
        healthy_s: whoever stands for so long has not failed before.
        at_once: so many failures in a row are followed by no pause.
        jitter_share: chance takes up to this share from a pause, so that many that failed together
            do not all come back together.
    """

    first_s: float
    longest_s: float
    healthy_s: float
    at_once: int = 0
    jitter_share: float = 0.25

    def pause_s(self, failures: int, luck: float) -> float:
        """The pause after so many failures in a row.

        Args:
            failures: 1 or more.
            luck: 0 to below 1, drawn by chance.
        """
        if failures <= self.at_once:
            return 0.0
        doublings = min(failures - self.at_once - 1, _MOST_DOUBLINGS)
        whole_s = min(math.ldexp(self.first_s, doublings), self.longest_s)
        return whole_s * (1.0 - self.jitter_share * luck)


# Contract: failures count in a row until something stood for healthy_s; what failed to come to
# stand did not stand.
class Streak:
    """Counts failures in a row.

    Args:
        healthy_s: see ``BackOff``.
        now_s: it stands since this instant.

    Attributes:
        failures: in a row.
    """

    def __init__(self, healthy_s: float, now_s: float) -> None:
        self._healthy_s = healthy_s
        self._stands_since_s: float | None = now_s
        self.failures = 0

    def stand(self, now_s: float) -> None:
        """It stands from now on."""
        self._stands_since_s = now_s

    def fail(self, now_s: float) -> int:
        """It failed; how often in a row by now."""
        since_s = self._stands_since_s
        if since_s is not None and now_s - since_s >= self._healthy_s:
            self.failures = 0
        self._stands_since_s = None
        self.failures += 1
        return self.failures
