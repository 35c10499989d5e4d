"""When a failed call is made again, and how long to wait before.

Asking for a prediction twice changes nothing on the server, so a call is repeated when it did not
reach a server that could answer (UNAVAILABLE), and when a busy server says that coming back later
makes sense (RESOURCE_EXHAUSTED with ``grpc-retry-pushback-ms``). Nothing is repeated past the
deadline. The pushback follows gRPC's retry design (gRFC A6): a negative or unreadable number
forbids a retry.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import grpc

PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
_MAX_PUSHBACK_DIGITS: Final = 15  # 30,000 years; many more are no float

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how patiently.

    Before attempt ``n + 1`` the client waits a time drawn evenly between 0 and
    ``min(max_backoff_s, initial_backoff_s * multiplier ** (n - 1))``: exponential backoff with full
    jitter (M. Brooker, "Exponential Backoff And Jitter", 2015). Where the server named a time, the
    client waits that time and a draw from 0 to ``initial_backoff_s``, so that the callers that were
    sent away together do not come back together.

    Attributes:
        max_attempts: calls in all, the first included; 1 never retries.
        initial_backoff_s: the upper end of the first draw.
        max_backoff_s: the upper end of any draw.
        multiplier: growth of the upper end.
    """

    max_attempts: int = 4
    initial_backoff_s: float = 0.05
    max_backoff_s: float = 2.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}, expected 1 or more")
        if self.initial_backoff_s < 0 or self.max_backoff_s < 0:
            raise ValueError("backoffs must be 0 s or more")
        if self.multiplier < 1:
            raise ValueError(f"multiplier is {self.multiplier}, expected 1 or more")

    def delay_s(self, failure: "Failure", attempt: int, draw: float) -> float | None:
        """Returns the wait before the next attempt, or None when there must be none.

        Args:
            failure: how the attempt ended.
            attempt: its number, from 1.
            draw: evenly distributed from 0 to 1.
        """
        if attempt >= self.max_attempts or not failure.retryable:
            return None
        if failure.pushback_s is not None:
            return failure.pushback_s + draw * self.initial_backoff_s
        # The exponent is bounded so that a float power cannot overflow.
        grown_s = self.initial_backoff_s * self.multiplier ** min(attempt - 1, 64)
        return draw * min(self.max_backoff_s, grown_s)


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of one attempt.

    Attributes:
        code: the gRPC code.
        pushback_s: the wait that the server asked for, if it did.
        pushback_forbids: whether the server asked not to come back.
    """

    code: grpc.StatusCode
    pushback_s: float | None = None
    pushback_forbids: bool = False

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed and may be repeated."""
        if self.pushback_forbids:
            return False
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.pushback_s is not None
        return self.code is grpc.StatusCode.UNAVAILABLE

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Failure":
        """Reads the code and the trailing metadata of a failed call."""
        pushback = _pushback_text(error)
        if pushback is None:
            return cls(error.code())
        if not pushback.isdecimal() or len(pushback) > _MAX_PUSHBACK_DIGITS:
            return cls(error.code(), pushback_forbids=True)
        return cls(error.code(), pushback_s=int(pushback) / 1000)


def _pushback_text(error: grpc.aio.AioRpcError) -> str | None:
    for key, value in error.trailing_metadata() or ():
        if key == PUSHBACK_KEY:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return None


class Retrier:
    """Makes calls under one policy.

    Args:
        policy: how often, and how patiently.
        rng: draws the jitter.
        now_s: a monotonic clock; None for the one of the running loop.
        pause: waits a number of seconds.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        rng: random.Random,
        now_s: Callable[[], float] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policy = policy
        self._rng = rng
        self._now_s = now_s
        self._pause = pause

    def now_s(self) -> float:
        """The clock that deadlines are measured with."""
        return self._now_s() if self._now_s else asyncio.get_running_loop().time()

    async def call(
        self, attempt_once: Callable[[float], Awaitable[Answer]], deadline_s: float
    ) -> Answer:
        """Calls until an answer comes, or no further attempt is allowed.

        Args:
            attempt_once: makes one attempt; is given the seconds that are left.
            deadline_s: the instant on ``now_s`` after which nobody waits for an answer.

        Raises:
            grpc.aio.AioRpcError: of the last attempt.
        """
        attempt = 1
        while True:
            try:
                return await attempt_once(max(0.0, deadline_s - self.now_s()))
            except grpc.aio.AioRpcError as error:
                delay_s = self._policy.delay_s(Failure.of(error), attempt, self._rng.random())
                if delay_s is None or self.now_s() + delay_s >= deadline_s:
                    raise
            await self._pause(delay_s)
            attempt += 1
