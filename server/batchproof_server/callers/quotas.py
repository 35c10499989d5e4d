"""How much one caller may have: at the same time, and on average. Pure: time is an argument."""

from dataclasses import dataclass

from batchproof_server.base.errors import QuotaExceeded

_RETRY_AFTER_S = 0.1


# Contract: over any time of t seconds no more than (t + 1) times the rate is taken, but for one
# taking that goes beyond what is there, which is paid off before the next one.
class RateBucket:
    """A rate, of which a second's worth may be taken at once.

    Args:
        per_s: the rate; 0 is no limit.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._left = self._most
        self._seen_s: float | None = None

    def wait_s(self, now_s: float) -> float:
        """How long until something may be taken; 0 where that is so now."""
        self._fill(now_s)
        needed = min(1.0, self._most)
        return 0.0 if not self._per_s else max(0.0, (needed - self._left) / self._per_s)

    def take(self, amount: float, now_s: float) -> None:
        """Takes so much, also what is not there yet."""
        self._fill(now_s)
        self._left -= amount

    def _fill(self, now_s: float) -> None:
        passed_s = 0.0 if self._seen_s is None else max(0.0, now_s - self._seen_s)
        self._seen_s = now_s
        self._left = min(self._most, self._left + passed_s * self._per_s)


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """See ``CallerSettings``; 0 is no limit."""

    max_concurrent: int = 0
    requests_per_s: float = 0.0
    rows_per_s: float = 0.0


# Contract: ``begin`` and ``end`` come in pairs, whatever lies between them. Rows are known when a
# request has been read, so they are charged at its end, and whoever owes some waits.
class Quota:
    """What one caller has.

    Args:
        name: of the caller, for texts.
        limits: of it.

    Attributes:
        running: requests that are being answered.
    """

    def __init__(self, name: str, limits: QuotaLimits) -> None:
        self._name = name
        self._limits = limits
        self._requests = RateBucket(limits.requests_per_s)
        self._rows = RateBucket(limits.rows_per_s)
        self.running = 0

    def peek(self, now_s: float) -> None:
        """Returns when one more request may begin.

        Raises:
            QuotaExceeded: it may not.
        """
        self._check(self.running + 1, now_s)

    def begin(self) -> None:
        """A request begins."""
        self.running += 1

    def charge(self, now_s: float) -> None:
        """Charges the request that has begun.

        Raises:
            QuotaExceeded: it may not go on; nothing was charged.
        """
        self._check(self.running, now_s)
        self._requests.take(1, now_s)

    def end(self, rows: int, now_s: float) -> None:
        """A request that had begun is over, and had so many rows."""
        self.running -= 1
        self._rows.take(rows, now_s)

    def _check(self, running: int, now_s: float) -> None:
        limits = self._limits
        if limits.max_concurrent and running > limits.max_concurrent:
            had, key = f"{running - 1} requests under way", "max_concurrent"
            raise self._refusal(had, limits.max_concurrent, key, _RETRY_AFTER_S)
        if wait_s := self._requests.wait_s(now_s):
            raise self._refusal(
                "sent more requests", limits.requests_per_s, "requests_per_s", wait_s
            )
        if wait_s := self._rows.wait_s(now_s):
            raise self._refusal("sent more rows", limits.rows_per_s, "rows_per_s", wait_s)

    def _refusal(self, had: str, most: float, key: str, wait_s: float) -> QuotaExceeded:
        return QuotaExceeded(
            f'caller "{self._name}" has {had}, expected {most:g} at most '
            f"(access.callers.{self._name}.{key}); try again in {wait_s:.3f} s",
            wait_s,
        )
