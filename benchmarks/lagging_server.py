"""The server with a probe on its event loop, for measuring how late the loop gets to its work.

    python benchmarks/lagging_server.py BUNDLE

prints its address as JSON when it serves. Every line on standard input is answered by one JSON
object about the time since the line before, in milliseconds: how late a timer of 1 ms rang, and how
much processor time the loop thread spent in one turn, that is in one callback. The first also shows
what else ran on the core; the second is what the server itself holds its loop up for.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from batchproof_server.application.config import Config
from batchproof_server.application.server import compose
from batchproof_server.models.discovery import discover
from batchproof_server.observing.logs import LogObserver, configure_logs

_PERIOD_S = 0.001


class LagProbe:
    """Rings every millisecond and remembers how late; times every turn of the loop."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._turns_ms: list[float] = []
        run = asyncio.Handle._run  # noqa: SLF001 - the loop has no hook for it

        def timed(handle: asyncio.Handle) -> None:
            begun_s = time.thread_time()
            run(handle)
            self._turns_ms.append((time.thread_time() - begun_s) * 1e3)

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment] # noqa: SLF001 - nor for this

    async def run(self) -> None:
        """Never ends."""
        while True:
            due_s = time.perf_counter() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._late_ms.append((time.perf_counter() - due_s) * 1e3)

    def taken(self) -> dict[str, float]:
        """The figures since the last time; zeros when it has not rung since."""
        late_ms, self._late_ms = self._late_ms, []
        turns_ms, self._turns_ms = self._turns_ms, []
        return _marks("late", late_ms) | _marks("turn", turns_ms)


def _marks(name: str, values_ms: list[float]) -> dict[str, float]:
    ordered = sorted(values_ms) or [0.0]
    last = len(ordered) - 1
    marks = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
    return {f"{name}_{mark}": ordered[int(last * share)] for mark, share in marks.items()}


async def _serve(bundle: Path) -> None:
    config = Config()
    config = replace(config, server=replace(config.server, grpc_port=0, http_port=0))
    config = replace(config, engine=replace(config.engine, intra_op_threads=1, inter_op_threads=1))
    server = compose(
        config, discover(bundle), LogObserver(configure_logs("warning", "json", sys.stderr))
    )
    addresses = await server.open()
    await server.load()
    gc.freeze()  # as the life-cycle does
    probe = LagProbe()
    running = asyncio.ensure_future(probe.run())
    print(json.dumps({"grpc": addresses["grpc"]}), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(probe.taken()), flush=True)
    running.cancel()
    await server.drain()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
