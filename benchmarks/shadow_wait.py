"""What a shadow adds to the waits of callers: one server, with and without a shadow in turn.

    python benchmarks/shadow_wait.py [--seconds 20] [--repeats 3] [--subject resnet] [--every-ms 15]

Version 2 is a copy of version 1 and becomes its shadow, and is one like the others again, by order
of the management port; version 1 is asked by name at times that come by chance, 15 ms apart on
average, so that the shadow is executed again and again and callers come while it is. All rows are
selected for it. Prints the waits of both, and what one execution of the smallest bucket takes: no
wait may grow by more, and none that is begun when the shadow has nothing under way.

A machine that does other things, too, lets single calls wait for 10 ms and longer. Where one
execution takes much more than that, as with ResNet50 (``--subject resnet --every-ms 200``), the
worst waits can be compared; with the embedded model only the quantiles can.
"""

import argparse
import asyncio
import os
import random
import re
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from grpc import aio

from batchproof.v1 import management_pb2 as management
from batchproof.v1 import management_pb2_grpc as management_grpc
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from soak_setting import counted, serving
from subjects import embedded, resnet

# Proving the larger buckets of ResNet50 would take minutes, and single calls need none.
_BUCKETS: Final = re.compile("buckets_rows = .*")
SUBJECTS: Final = {"embedded": embedded, "resnet": resnet}


async def waits_ms(
    address: str, asked: pb.PredictRequest, seconds: float, every_ms: float
) -> list[float]:
    """Of single calls at times that come by chance."""
    waits: list[float] = []
    async with aio.insecure_channel(address) as channel:
        stub: Any = pb_grpc.PredictionServiceStub(channel)
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            await asyncio.sleep(random.expovariate(1e3 / every_ms))
            began_s = time.perf_counter()
            await stub.Predict(asked)
            waits.append(1e3 * (time.perf_counter() - began_s))
    return waits


async def measured(
    where: Mapping[str, str], asked: pb.PredictRequest, given: argparse.Namespace
) -> dict[str, list[float]]:
    """The waits with and without a shadow, in turn."""
    waits: dict[str, list[float]] = {"without": [], "with a shadow": []}
    async with aio.insecure_channel(where["management"]) as channel:
        make: Any = management_grpc.ManagementServiceStub
        orders = make(channel)
        for _ in range(given.repeats):
            for name, version in (("without", None), ("with a shadow", 2)):
                await orders.SetShadow(
                    management.SetShadowRequest(model=asked.model.name, version=version)
                )
                ask = partial(waits_ms, where["grpc"], asked, every_ms=given.every_ms)
                await ask(1.0)
                waits[name] += await ask(given.seconds)
    return waits


def report(waits: Mapping[str, list[float]], page: str) -> None:
    """Prints the figures."""
    print(f"{'wait, ms':<16} {'calls':>7} {'mean':>8} {'p50':>8} {'p99':>8} {'worst':>8}")
    for name, each in waits.items():
        p50, p99 = np.quantile(each, [0.5, 0.99])
        print(
            f"{name:<16} {len(each):>7} {statistics.mean(each):>8.3f} {p50:>8.3f} {p99:>8.3f} "
            f"{max(each):>8.3f}"
        )
    rows = counted(page, ["batchproof_shadow_rows_total"], "result")
    print("rows of the shadow:", rows["batchproof_shadow_rows_total"])
    lines = dict(line.rpartition(" ")[::2] for line in page.splitlines() if "shadow_" in line)
    timed = sum(float(n) for name, n in lines.items() if "shadow_timed_rows_total{" in name)
    took_s = sum(float(n) for name, n in lines.items() if 'by="shadow"' in name)
    if timed:
        print(f"an execution of the smallest bucket: {1e3 * took_s / timed:.3f} ms")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=("thread", "process"), default="process")
    parser.add_argument("--subject", choices=SUBJECTS, default="embedded")
    parser.add_argument("--every-ms", type=float, default=15.0, help="between calls, on average")
    given = parser.parse_args()
    subject = SUBJECTS[given.subject]()
    model = subject.bundle.resolve().parent.name
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for version in (1, 2):
            copy = folder / "models" / model / str(version)
            shutil.copytree(subject.bundle, copy)
            manifest = copy / "batchproof.toml"
            manifest.write_text(_BUCKETS.sub("buckets_rows = [1]", manifest.read_text()))
        settings = {
            "DEVICES__KIND": f'"{given.kind}"',
            "SHADOW__SHARE": "1.0",
            "MANAGEMENT": "{ enabled = true, port = 0 }",
            "SERVER__GRPC_PORT": "0",
            "SERVER__HTTP_PORT": "0",
            "LOG__LEVEL": '"warning"',
        }
        with serving(folder / "models", settings, folder / "log", os.environ) as (where, _):
            asked = pb.PredictRequest.FromString(subject.message.read_bytes())
            asked.model.CopyFrom(pb.ModelSelector(name=model, version=1))
            waits = asyncio.run(measured(where, asked, given))
            with urllib.request.urlopen(f"http://{where['http']}/metrics") as metrics:
                page = metrics.read().decode()
    report(waits, page)


if __name__ == "__main__":
    main()
