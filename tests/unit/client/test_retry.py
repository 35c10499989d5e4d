import random
from itertools import pairwise

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_client.retry import PUSHBACK_KEY, Failure, Retrier, RetryPolicy

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE)
DRAWS = st.floats(0, 1)


def rpc_error(code: grpc.StatusCode, pushback: str | bytes | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(("another", "key"))
    if pushback is not None:
        trailing.add(PUSHBACK_KEY, pushback)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing)


@given(DRAWS, st.integers(1, 10_000))
def test_the_backoff_is_a_draw_below_a_growing_and_bounded_end(draw: float, attempt: int) -> None:
    policy = RetryPolicy(max_attempts=100_000, initial_backoff_s=0.1, max_backoff_s=3.0)
    delay_s = policy.delay_s(UNAVAILABLE, attempt, draw)
    assert delay_s == draw * min(3.0, 0.1 * 2.0 ** min(attempt - 1, 64))


def test_the_end_of_the_draw_doubles_until_its_limit() -> None:
    policy = RetryPolicy(max_attempts=10, initial_backoff_s=0.5, max_backoff_s=4.0)
    ends = [policy.delay_s(UNAVAILABLE, attempt, 1.0) for attempt in range(1, 7)]
    assert ends == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_last_attempt_is_not_followed() -> None:
    assert RetryPolicy(max_attempts=2).delay_s(UNAVAILABLE, 1, 0.0) == 0.0
    assert RetryPolicy(max_attempts=2).delay_s(UNAVAILABLE, 2, 0.0) is None
    assert RetryPolicy(max_attempts=1).delay_s(UNAVAILABLE, 1, 0.0) is None


@given(DRAWS, st.sampled_from([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]))
def test_a_pushback_is_never_cut_short(draw: float, code: grpc.StatusCode) -> None:
    delay_s = RetryPolicy().delay_s(Failure(code, pushback_s=1.5), 1, draw)
    assert delay_s is not None
    assert 1.5 <= delay_s <= 1.55


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_only_two_codes_are_ever_repeated(code: grpc.StatusCode) -> None:
    repeatable = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert Failure(code, pushback_s=0.0).retryable is (code in repeatable)
    assert Failure(code).retryable is (code is grpc.StatusCode.UNAVAILABLE)
    assert not Failure(code, pushback_forbids=True).retryable


@pytest.mark.parametrize(
    ("pushback", "pushback_s", "forbids"),
    [
        (None, None, False),
        ("250", 0.25, False),
        (b"250", 0.25, False),
        ("0", 0.0, False),
        ("-1", None, True),
        ("soon", None, True),
        ("", None, True),
        ("9" * 15, 999_999_999_999.999, False),
        ("9" * 400, None, True),  # beyond any float
        ("9" * 5_000, None, True),  # and beyond what Python reads
    ],
)
def test_the_pushback_is_read_as_grpc_says(
    pushback: str | bytes | None, pushback_s: float | None, *, forbids: bool
) -> None:
    failure = Failure.of(rpc_error(grpc.StatusCode.UNAVAILABLE, pushback))
    assert (failure.pushback_s, failure.pushback_forbids) == (pushback_s, forbids)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_attempts": 0},
        {"initial_backoff_s": -1.0},
        {"max_backoff_s": -1.0},
        {"multiplier": 0.5},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"or more"):
        RetryPolicy(**fields)  # type: ignore[arg-type] # one of several fields


class Scene:
    """A clock that moves only by waiting, and a call that always fails."""

    def __init__(self, policy: RetryPolicy, seed: int) -> None:
        self.time_s = 0.0
        self.attempts_at_s: list[float] = []
        self.remaining_s: list[float] = []
        rng = random.Random(seed)  # noqa: S311 - jitter is no secret
        self.retrier = Retrier(policy, rng=rng, now_s=lambda: self.time_s, pause=self._pause)

    async def _pause(self, delay_s: float) -> None:
        self.time_s += delay_s

    async def attempt(self, remaining_s: float) -> None:
        """Notes when, and fails."""
        self.attempts_at_s.append(self.time_s)
        self.remaining_s.append(remaining_s)
        raise rpc_error(grpc.StatusCode.UNAVAILABLE)


@given(
    st.integers(0, 2**32),
    st.integers(1, 8),
    st.floats(0, 2),
    st.floats(0.001, 5),
)
async def test_no_attempt_starts_past_the_deadline_or_above_the_count(
    seed: int, max_attempts: int, initial_backoff_s: float, deadline_s: float
) -> None:
    scene = Scene(RetryPolicy(max_attempts, initial_backoff_s), seed)
    with pytest.raises(grpc.aio.AioRpcError):
        await scene.retrier.call(scene.attempt, deadline_s)
    assert 1 <= len(scene.attempts_at_s) <= max_attempts
    assert all(when_s < deadline_s for when_s in scene.attempts_at_s)
    assert all(earlier <= later for earlier, later in pairwise(scene.attempts_at_s))
    assert scene.remaining_s == [deadline_s - when_s for when_s in scene.attempts_at_s]


async def test_a_seed_repeats_a_run() -> None:
    runs = []
    for _ in range(2):
        scene = Scene(RetryPolicy(max_attempts=5), seed=7)
        with pytest.raises(grpc.aio.AioRpcError):
            await scene.retrier.call(scene.attempt, 100.0)
        runs.append(scene.attempts_at_s)
    assert runs[0] == runs[1]
    assert len(runs[0]) == 5
