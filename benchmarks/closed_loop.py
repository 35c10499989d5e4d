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
from pathlib import Path

import grpc
import numpy as np

METHOD = "/batchproof.v1.PredictionService/Predict"
WARM_UP_SHARE = 0.15
PATIENCE_S = 10


async def _worker(
    call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]",
    message: bytes,
    stop_s: float,
    latencies_s: list[tuple[float, float]],
) -> int:
    errors = 0
    while (started_s := time.perf_counter()) < stop_s:
        try:
            await call(message)
        except grpc.aio.AioRpcError:
            errors += 1
        else:
            latencies_s.append((started_s, time.perf_counter() - started_s))
    return errors


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
        latencies_s: list[tuple[float, float]] = []
        begun_s = time.perf_counter()
        stop_s = begun_s + duration_s
        errors = await asyncio.gather(
            *(_worker(call, message, stop_s, latencies_s) for _ in range(concurrency))
        )
    counted_from_s = begun_s + WARM_UP_SHARE * duration_s
    counted = [(at_s, took_s) for at_s, took_s in latencies_s if at_s >= counted_from_s]
    window_s = max(at_s + took_s for at_s, took_s in counted) - counted_from_s
    p50, p99 = np.percentile([took_s for _, took_s in counted], (50, 99)) * 1e3
    return {
        "requests_per_s": len(counted) / window_s,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "errors": sum(errors),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        target, workers, seconds, file = line.rstrip("\n").split(" ", 3)
        content = Path(file).read_bytes()
        print(
            json.dumps(asyncio.run(_run(target, content, int(workers), float(seconds)))), flush=True
        )
