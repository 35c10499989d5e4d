"""Versions that change under load: how many requests fail or mix, and how memory grows.

    python benchmarks/swaps.py [--swaps 50] [--requests 10000] [--kind thread] [--bundle DIRECTORY]

A server polls its repository while callers ask. One version after the other is copied beside the
ones before and renamed; it has to answer before the next one comes. Each affine version multiplies
by its own number, so that an answer shows which version computed every row of it; the versions of
``--bundle`` are copies, whose answers must have the same bits. By the server's log, the version of
every answer must have been READY at a moment between the request and the answer. Prints what became
of the requests, what the server and its devices held, and the slope of that after three swaps.
Ends with 1 when a request failed, an answer was wrong or a mixture, or a version was not READY.
"""

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from grpc import aio

from batchproof.tensors import from_proto, to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc

MODEL: Final = "swapped"
WARM_SWAPS: Final = 3
_PATIENCE_S: Final = 300.0
_POLL_S: Final = 0.05
_MOST_ROWS: Final = 5


@dataclass(frozen=True)
class Asked:
    """One request and what came of it.

    Attributes:
        begun_s: since 1970, as are the others.
        version: that answered; 0 where none did.
        code: of the outcome; ``WRONG`` for an answer that the version cannot have given.
    """

    begun_s: float
    ended_s: float
    version: int
    code: str


@dataclass
class Run:
    """One run.

    Attributes:
        repository: gets the versions.
        original: the bundle that they are copies of; None for affine ones.
        megabytes: what the server and its devices held after each swap.
    """

    repository: Path
    log: Path
    original: Path | None
    callers: int
    asked: list[Asked] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    truth: bytes = b""
    newest: int = 0
    is_over: bool = False

    def add(self, version: int) -> None:
        """Copies a version under another name, and renames it when it is whole."""
        coming = self.repository / MODEL / f".coming-{version}"
        if self.original is None:
            coming.mkdir(parents=True)
            affine = {"input_shape": [4], "input_dtype": "float32", "classes": 4}
            affine |= {"scale": float(version), "offset": 1.0}
            (coming / "affine.json").write_text(json.dumps(affine))
        else:
            shutil.copytree(self.original, coming)
        coming.rename(coming.with_name(str(version)))
        self.newest = version

    def remove(self, version: int) -> None:
        """Removes a version that is long unloaded, so that the disk stays as it is."""
        shutil.rmtree(self.repository / MODEL / str(version), ignore_errors=True)

    def changes(self, state: str) -> list[tuple[int, float]]:
        """The versions that came into a state, and when, in seconds since 1970."""
        lines = [line for line in self.log.read_text().splitlines() if '"model changed"' in line]
        records = [json.loads(line) for line in lines]
        return [
            (record["version"], datetime.fromisoformat(record["time"]).timestamp())
            for record in records
            if record["state"] == state
        ]

    def request(self) -> tuple[pb.PredictRequest, Any]:
        """A request, and the rows of it."""
        if self.original is not None:
            picture = min((self.original / "samples").glob("*.png")).read_bytes()
            return pb.PredictRequest(images=pb.EncodedImages(contents=[picture])), None
        rows = random.randint(1, _MOST_ROWS)  # noqa: S311 - not for secrets
        array = np.random.default_rng().integers(0, 1000, (rows, 4)).astype(np.float32)
        tensors = pb.NamedTensors(tensors={"image": to_proto(array)})
        return pb.PredictRequest(tensors=tensors), array

    def is_right(self, answer: pb.PredictResponse, rows: Any) -> bool:
        """Whether the version that the answer names has computed every row of it."""
        if rows is None:
            bits = b"".join(_bits(row) for row in answer.rows)
            self.truth = self.truth or bits
            return bits == self.truth
        expected = rows * answer.provenance.version + 1
        return np.array_equal(from_proto(answer.outputs["scores"]), expected)

    async def ask_on(self, address: str) -> None:
        """One caller, who asks until the run is over."""
        async with aio.insecure_channel(
            address, options=(("grpc.use_local_subchannel_pool", 1),)
        ) as channel:
            stub: Any = pb_grpc.PredictionServiceStub(channel)
            while not self.is_over:
                request, rows = self.request()
                begun_s, version, code = time.time(), 0, "OK"
                try:
                    answer = await stub.Predict(request, timeout=_PATIENCE_S)
                except aio.AioRpcError as failure:
                    code = failure.code().name
                else:
                    version = answer.provenance.version
                    code = "OK" if self.is_right(answer, rows) else "WRONG"
                self.asked.append(Asked(begun_s, time.time(), version, code))

    async def swap(self, process: psutil.Process, swaps: int, requests: int) -> None:
        """Brings one version after the other, evenly over the requests, and ends the callers."""
        first = self.newest
        for number in range(1, swaps + 1):
            await self.until(lambda n=number: len(self.asked) >= n * requests / (swaps + 1))
            self.add(first + number)
            await self.until(lambda: self.newest in {each.version for each in self.asked[-500:]})
            old = self.newest - 1
            await self.until(lambda o=old: o in dict(self.changes("unloaded")))
            self.remove(old)
            self.megabytes.append(held_mb(process))
        await self.until(lambda: len(self.asked) >= requests)
        self.is_over = True

    async def until(self, condition: Any) -> None:
        """Waits for something while the callers go on."""
        async with asyncio.timeout(_PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the condition sets no event
                await asyncio.sleep(_POLL_S)

    def not_ready(self) -> list[Asked]:
        """Answers of a version that was READY at no moment of their request."""
        ready = dict(self.changes("ready"))
        draining = dict(self.changes("draining"))
        return [
            each
            for each in self.asked
            if each.version
            and not (
                ready.get(each.version, math.inf) <= each.ended_s
                and each.begun_s <= draining.get(each.version, math.inf)
            )
        ]


def _bits(row: pb.RowPrediction) -> bytes:
    computed = pb.RowPrediction()
    computed.CopyFrom(row)
    computed.handle = b""  # another one for every answer
    return computed.SerializeToString(deterministic=True)


def held_mb(process: psutil.Process) -> float:
    """What the server and its devices hold; pages that they share are counted once."""
    family = [process, *process.children(recursive=True)]
    return float(sum(each.memory_full_info().pss for each in family)) / 2**20


@contextmanager
def serving(run: Run, kind: str) -> Iterator[tuple[Mapping[str, str], psutil.Process]]:
    """Addresses and process of a server that polls the repository."""
    settings = {
        "BATCHPROOF_REPOSITORY__POLL_S": "0.2",
        "BATCHPROOF_REPOSITORY__SETTLE_S": "0.1",
        "BATCHPROOF_REPOSITORY__POLICY": "{ latest = 1 }",
        "BATCHPROOF_DEVICES__KIND": kind,
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    command = [sys.executable, "-m", "batchproof_server", "serve", str(run.repository)]
    with (
        run.log.open("w") as errors,
        subprocess.Popen(
            [*command, "--grpc-port", "0", "--http-port", "0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | settings,
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            where = json.loads(process.stdout.readline())
            wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "300"]
            subprocess.run([*wait, "--server", where["grpc"]], check=True, capture_output=True)
            yield where, psutil.Process(process.pid)
        finally:
            process.terminate()


async def swapped(
    run: Run, address: str, process: psutil.Process, swaps: int, requests: int
) -> None:
    """Runs it."""
    asking = [asyncio.create_task(run.ask_on(address)) for _ in range(run.callers)]
    swapping = asyncio.create_task(run.swap(process, swaps, requests))
    await asyncio.wait([*asking, swapping], return_when=asyncio.FIRST_EXCEPTION)
    run.is_over = True
    await asyncio.gather(swapping, *asking)


def report(run: Run, swaps: int) -> bool:
    """Prints the figures; whether all of them are as they must be."""
    codes = Counter(each.code for each in run.asked)
    failed = sum(count for code, count in codes.items() if code not in ("OK", "WRONG"))
    strangers = run.not_ready()
    versions = len({each.version for each in run.asked if each.version})
    slowest_s = max(each.ended_s - each.begun_s for each in run.asked)
    print(f"requests {len(run.asked)}, swaps {swaps}, versions that answered {versions}")
    print(f"failed {failed}, wrong or mixed {codes['WRONG']}, not READY {len(strangers)}")
    print(f"slowest answer {1000 * slowest_s:.0f} ms")
    held = run.megabytes
    if len(held) > WARM_SWAPS:
        warm = held[WARM_SWAPS - 1 :]
        slope = statistics.linear_regression(range(len(warm)), warm).slope
        print(f"memory after {WARM_SWAPS} swaps {warm[0]:.1f} MB, after {swaps} {held[-1]:.1f} MB")
        print(f"slope {1024 * slope:+.0f} kB a swap; most {max(held):.1f} MB")
    return not (failed or codes["WRONG"] or strangers) and versions == swaps + 1


def main() -> int:
    """Runs, prints, and judges."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--kind", choices=("thread", "process"), default="thread")
    parser.add_argument("--bundle", type=Path, help="of a model of pictures, with samples")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Path(folder) / "log", given.bundle, given.callers)
        run.add(1)
        with serving(run, given.kind) as (where, process):
            asyncio.run(swapped(run, where["grpc"], process, given.swaps, given.requests))
        is_good = report(run, given.swaps)
        if "Traceback" in run.log.read_text():
            print("the log has a traceback")
            is_good = False
    print("all as it must be" if is_good else "NOT as it must be")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
