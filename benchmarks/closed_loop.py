"""A closed loop over raw stubs: each of C workers sends its next request when it has its answer.

    python benchmarks/closed_loop.py

answers every line "ADDRESS METHOD CONCURRENCY SECONDS MESSAGE_FILE" on standard input by one JSON
object: requests/s, latency percentiles in milliseconds, and errors. METHOD is one of gRPC, which
all workers ask over one connection, or each over its own where "apart:" stands before it; or HTTP,
and the message is then a whole request of HTTP/1.1. It is sent as it is, so that the client spends
nothing on building it.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import grpc
import numpy as np

METHOD: Final = "/batchproof.v1.PredictionService/Predict"
APART: Final = "apart:"
HTTP: Final = "HTTP"
COHORTS = 4
PATIENCE_S = 30
_OF_ITS_OWN: Final = (("grpc.use_local_subchannel_pool", 1),)
POLL_S = 0.002
# Sends the message and says whether it was answered without an error.
Ask: TypeAlias = Callable[[], Awaitable[bool]]


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


@asynccontextmanager
async def over_grpc(
    address: str, method: str, message: bytes, workers: int
) -> AsyncIterator[list[Ask]]:
    """What each worker asks with, over a channel that all share, or apart over its own."""
    channels = workers if method.startswith(APART) else 1
    calls: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = []
    async with AsyncExitStack() as stack:
        for _ in range(channels):
            opened = grpc.aio.insecure_channel(address, options=_OF_ITS_OWN)
            channel = await stack.enter_async_context(opened)
            calls.append(channel.unary_unary(method.removeprefix(APART)))
        yield [partial(_ask, calls[number % channels], message) for number in range(workers)]


async def _ask(call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", message: bytes) -> bool:
    try:
        await call(message)
    except grpc.aio.AioRpcError:
        return False
    return True


@asynccontextmanager
async def over_http(address: str, request: bytes, workers: int) -> AsyncIterator[list[Ask]]:
    """The same, over a connection for each; one that the server closes ends the measurement."""
    host, _, port = address.rpartition(":")
    open_ = [await asyncio.open_connection(host, int(port)) for _ in range(workers)]
    try:
        yield [partial(_exchange, reader, writer, request) for reader, writer in open_]
    finally:
        for _, writer in open_:
            writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> bool:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0]
    await reader.readexactly(int(length))
    return head.startswith(b"http/1.1 200 ")


async def _worker(ask: Ask, count: _Count) -> None:
    while not count.is_enough:
        started_s = time.perf_counter()
        if await ask():
            ended_s = time.perf_counter()
            count.ended.append((ended_s, ended_s - started_s))
        else:
            count.errors += 1


async def _first(ask: Ask) -> None:
    """Returns with the first answer: a server may have too much to do from what came before."""
    for _ in range(PATIENCE_S * 20):
        if await ask():
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"no answer within {PATIENCE_S} s")


async def run(
    address: str, method: str, message: bytes, concurrency: int, duration_s: float
) -> dict[str, float]:
    """Measures; see the head of this file."""
    connected = (
        over_http(address, message, concurrency)
        if method == HTTP
        else over_grpc(address, method, message, concurrency)
    )
    async with connected as asks:
        await _first(asks[0])
        count = _Count(time.perf_counter(), duration_s, concurrency)
        workers = [asyncio.create_task(_worker(ask, count)) for ask in asks]
        while not count.is_enough:  # noqa: ASYNC110 - by the clock
            await asyncio.sleep(POLL_S)
        figures = count.figures()
        await asyncio.gather(*workers)
        return figures | {"requests": len(count.ended) + 1}


if __name__ == "__main__":
    for line in sys.stdin:
        target, asked, workers, seconds, file = line.rstrip("\n").split(" ", 4)
        content = Path(file).read_bytes()
        measured = asyncio.run(run(target, asked, content, int(workers), float(seconds)))
        print(json.dumps(measured), flush=True)
