"""A closed loop over raw stubs: each of C workers sends its next request when it has its answer.

    python benchmarks/closed_loop.py

answers every line "ADDRESS CONCURRENCY SECONDS MESSAGE_FILE" on standard input by one JSON object:
requests/s, latency percentiles in milliseconds, and errors. The message is sent as it is, so that
the client spends nothing on building it.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

METHOD = "/batchproof.v1.PredictionService/Predict"
COHORTS = 4
PATIENCE_S = 30
POLL_S = 0.002


@dataclass
class _Count:
    """What came back, and when it is enough.

    Attributes:
        ended: of each answer the instant and its latency, in seconds.
        errors: calls that failed.
    """

    begun_s: float
    duration_s: float
    concurrency: int
    ended: list[tuple[float, float]] = field(default_factory=list)
    errors: int = 0

    @property
    def is_enough(self) -> bool:
        """The time is over and every worker was answered a few times, or patience is over."""
        passed_s = time.perf_counter() - self.begun_s
        answered = len(self.ended) >= COHORTS * self.concurrency
        return passed_s >= self.duration_s and (answered or passed_s >= PATIENCE_S)

    def figures(self) -> dict[str, float]:
        """From the first cohort on: it came all at once, which is no steady state.

        A rate is of answers from one answer to the last, so that what was on its way when the
        clock stopped counts neither as time nor as work.
        """
        counted = self.ended[self.concurrency :]
        if not counted:
            raise RuntimeError(f"{len(self.ended)} answers within {PATIENCE_S} s are too few")
        window_s = counted[-1][0] - self.ended[self.concurrency - 1][0]
        p50, p99 = np.percentile([took_s for _, took_s in counted], (50, 99)) * 1e3
        return {
            "requests_per_s": len(counted) / window_s,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "errors": self.errors,
        }


async def _worker(
    call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", message: bytes, count: _Count
) -> None:
    while not count.is_enough:
        started_s = time.perf_counter()
        try:
            await call(message)
        except grpc.aio.AioRpcError:
            count.errors += 1
        else:
            ended_s = time.perf_counter()
            count.ended.append((ended_s, ended_s - started_s))


async def _first(call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", message: bytes) -> None:
    """Returns with the first answer: a server may have too much to do from what came before."""
    for _ in range(PATIENCE_S * 20):
        try:
            await call(message)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.05)
        else:
            return
    raise RuntimeError(f"no answer within {PATIENCE_S} s")


async def _run(
    address: str, message: bytes, concurrency: int, duration_s: float
) -> dict[str, float]:
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        await _first(call, message)
        count = _Count(time.perf_counter(), duration_s, concurrency)
        workers = [asyncio.create_task(_worker(call, message, count)) for _ in range(concurrency)]
        while not count.is_enough:  # noqa: ASYNC110 - by the clock
            await asyncio.sleep(POLL_S)
        figures = count.figures()
        await asyncio.gather(*workers)
        return figures | {"requests": len(count.ended) + 1}


if __name__ == "__main__":
    for line in sys.stdin:
        target, workers, seconds, file = line.rstrip("\n").split(" ", 3)
        content = Path(file).read_bytes()
        print(
            json.dumps(asyncio.run(_run(target, content, int(workers), float(seconds)))), flush=True
        )
