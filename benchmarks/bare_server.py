"""The least that a server on this front can do: bytes in, the engine, 64 bytes out.

    python benchmarks/bare_server.py BUNDLE

Loads the bundle as the server does, with the engine that BATCHPROOF_ENGINE__NAME says, and prints
its address as JSON. It reads no protobuf, and it checks, proves, scores, counts and logs nothing:
the first bytes of a message are the row. Calls that wait are executed together, in the bucket whose
rows are cheapest.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.signature import Array
from batchproof_server.rpc.fronts.choosing import loop_of
from batchproof_server.rpc.fronts.completion_queue.self_call import NoGate
from batchproof_server.rpc.fronts.completion_queue.server import CompletionQueueFront
from batchproof_server.rpc.fronts.front import CallHead, Reply, Routes
from batchproof_server.rpc.fronts.polling import read_on_the_queue
from batchproof_server.rpc.settings import RpcSettings
from closed_loop import METHOD
from in_process import load

_ANSWER_BYTES: Final = 64
_TIMES: Final = 5
# As in the server: a quicker execution is not worth a hand-over to another thread.
_QUICK_S: Final = 0.0005


class _Engine:
    """One model in its buckets.

    Args:
        bundle: a folder.
    """

    def __init__(self, bundle: Path) -> None:
        loaded = load(bundle)
        self._backend, buckets = loaded.backend, loaded.batching.buckets_rows
        (self._input,) = self._backend.signature.inputs
        took_s = {rows: self._time_s(rows) for rows in buckets}
        self.most_rows = min(buckets, key=lambda rows: took_s[rows] / rows)
        self._buckets = [rows for rows in buckets if rows <= self.most_rows]
        self.is_quick = took_s[self.most_rows] < _QUICK_S

    def execute(self, messages: Sequence[bytes]) -> Array:
        """The output for the first bytes of each message."""
        rows = self._rows(next(each for each in self._buckets if each >= len(messages)))
        for row, message in zip(rows, messages, strict=False):
            row[...] = np.frombuffer(message, row.dtype, row.size).reshape(row.shape)
        return next(iter(self._backend.execute({self._input.name: rows}).values()))

    def _rows(self, count: int) -> Array:
        sizes = (size or 1 for size in self._input.row_shape)
        return np.zeros((count, *sizes), self._input.dtype)

    def _time_s(self, rows: int) -> float:
        inputs = {self._input.name: self._rows(rows)}
        times_s: list[float] = []
        for _ in range(_TIMES):
            started_s = time.perf_counter()
            self._backend.execute(inputs)
            times_s.append(time.perf_counter() - started_s)
        return min(times_s)


class _Queue:
    """Answers calls by executing those that wait, together; one execution at a time.

    Args:
        engine: executes.
    """

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[tuple[bytes, asyncio.Future[Reply]]] = []
        self._is_busy = self._is_told = False

    async def answer(self, head: CallHead, content: bytes | None) -> Reply:
        """The route."""
        del head
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        self._waiting.append((content or b"", reply))
        if not self._is_told:
            self._is_told = True
            loop.call_soon(self._pump)
        return await reply

    def _pump(self) -> None:
        self._is_told = False
        if self._is_busy or not self._waiting:
            return
        taken = self._waiting[: self._engine.most_rows]
        del self._waiting[: len(taken)]
        messages = [content for content, _ in taken]
        if self._engine.is_quick:
            self._answer(taken, self._engine.execute(messages))
            return
        self._is_busy = True
        running = self._thread.submit(self._engine.execute, messages)
        running.add_done_callback(partial(self._tell, asyncio.get_running_loop(), taken))

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        taken: Sequence[tuple[bytes, "asyncio.Future[Reply]"]],
        running: "Future[Array]",
    ) -> None:
        loop.call_soon_threadsafe(self._answer, taken, running.result())

    def _answer(
        self, taken: Sequence[tuple[bytes, "asyncio.Future[Reply]"]], outputs: Array
    ) -> None:
        self._is_busy = False
        for (_, reply), output in zip(taken, outputs, strict=False):
            if not reply.done():
                reply.set_result(Reply(output.tobytes()[:_ANSWER_BYTES]))
        self._pump()


async def _serve(bundle: Path) -> None:
    routes = Routes({METHOD: _Queue(_Engine(bundle)).answer}, {}, NoGate())
    front = CompletionQueueFront(RpcSettings(), routes, MonotonicClock())
    port = await front.start("127.0.0.1", 0)
    gc.freeze()
    print(json.dumps({"grpc": f"127.0.0.1:{port}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    read_on_the_queue()
    with asyncio.Runner(loop_factory=loop_of("auto")) as runner:
        runner.run(_serve(Path(sys.argv[1])))
