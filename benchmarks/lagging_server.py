"""The server with a probe on its event loop, for measuring how late the loop gets to its work.

    python benchmarks/lagging_server.py BUNDLE

prints its address as JSON when it serves. Every line on standard input is answered by one JSON
object: how late a timer of 1 ms rang, in milliseconds, since the line before.
"""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from batchproof_server.app import compose
from batchproof_server.config import Config
from batchproof_server.logs import configure_logs
from batchproof_server.models.discovery import discover

_PERIOD_S = 0.001


class LagProbe:
    """Rings every millisecond and remembers how late."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []

    async def run(self) -> None:
        """Never ends."""
        while True:
            due_s = time.perf_counter() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._late_ms.append((time.perf_counter() - due_s) * 1e3)

    def taken(self) -> dict[str, float]:
        """The figures since the last time; zeros when it has not rung since."""
        late_ms, self._late_ms = sorted(self._late_ms) or [0.0], []
        last = len(late_ms) - 1
        marks = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
        return {name: late_ms[int(last * mark)] for name, mark in marks.items()}


async def _serve(bundle: Path) -> None:
    config = Config()
    config = replace(config, server=replace(config.server, grpc_port=0, http_port=0))
    config = replace(config, engine=replace(config.engine, intra_op_threads=1, inter_op_threads=1))
    server = compose(config, discover(bundle), configure_logs("warning", "json", sys.stderr))
    addresses = await server.open()
    await server.load()
    probe = LagProbe()
    running = asyncio.ensure_future(probe.run())
    print(json.dumps({"grpc": addresses.grpc}), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(probe.taken()), flush=True)
    running.cancel()
    await server.drain()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
