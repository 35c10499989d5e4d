"""One answer for each row, whatever it is sent with: random requests over the wire.

    python benchmarks/compositions.py [BUNDLE...] [--requests 10000] [--engines ...] [--fronts ...]

Serves each bundle on each engine and each front; without bundles the embedded model and MobileNetV2
with random weights for small pictures. Callers send random rows of a fixed set, one to seven at a
time, each caller its own, so that rows meet in random micro-batches at random places. The answer to
each row is hashed: over gRPC its probabilities, over REST the bytes of the output. One distinct
answer for each row is what is proven. The last column shows that the rows did meet: how many
micro-batches of each bucket were executed. With ``--devices process`` another process executes.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import math
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from batchproof.tensors import Array
from batchproof_client import AsyncClient
from bundles import write_keras
from processes import Server, served
from subjects import EMBEDDED, KEPT, Subject

ROWS: Final = 40
MOST_ROWS: Final = 7
CALLERS: Final = 24
REST: Final = "rest"
SIDE: Final = 64
_DATATYPES: Final = {"float32": "FP32", "uint8": "UINT8"}
_LENGTH: Final = "Inference-Header-Content-Length"
# The answer to each of the rows, as bytes.
Ask: TypeAlias = Callable[[Array], Awaitable[list[bytes]]]


def default_bundles() -> list[Path]:
    """The embedded model, and MobileNetV2 with random weights for small pictures."""
    small = write_keras(KEPT / "MobileNetV2-64" / "1", "MobileNetV2", "float32", side=SIDE)
    return [EMBEDDED, small]


@asynccontextmanager
async def asking(server: Server, model: str, front: str) -> AsyncIterator[tuple[Ask, Array]]:
    """How to ask over a front, and the rows to ask about."""
    async with AsyncClient(server.grpc, timeout_s=600.0) as client:
        (spec,) = (await client.get_model(model)).inputs
        sizes = tuple(size if size > 0 else 64 for size in spec.shape[1:])
        rows = (np.random.default_rng(0).random((ROWS, *sizes)) * 255).astype(spec.dtype)
        if front != REST:
            yield partial(_over_grpc, client), rows
            return
        with ThreadPoolExecutor(CALLERS) as threads:
            post = partial(_post, server.web, model, spec.name)
            yield partial(asyncio.get_running_loop().run_in_executor, threads, post), rows


async def _over_grpc(client: AsyncClient, rows: Array) -> list[bytes]:
    answer = await client.predict(rows, return_probabilities=True)
    found = [each.probabilities for each in answer.rows]
    return [each.tobytes() for each in found if each is not None]


def _post(address: str, model: str, name: str, rows: Array) -> list[bytes]:
    sent = {"name": name, "datatype": _DATATYPES[rows.dtype.name], "shape": rows.shape}
    inputs = [sent | {"parameters": {"binary_data_size": rows.nbytes}}]
    asked = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    head = json.dumps(asked).encode()
    connection = http.client.HTTPConnection(address, timeout=600.0)
    try:
        headers = {_LENGTH: str(len(head))}
        connection.request("POST", f"/v2/models/{model}/infer", head + rows.tobytes(), headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if _LENGTH not in answer.headers:
        raise SystemExit(f"HTTP {answer.status}: {content[:200]!r}")
    start = int(answer.headers[_LENGTH])
    return _rows_of(json.loads(content[:start])["outputs"][0], content[start:], len(rows))


def _rows_of(output: dict[str, Any], content: bytes, rows: int) -> list[bytes]:
    """The first output, row by row; the others lie behind it."""
    size = int(output["parameters"]["binary_data_size"]) // rows
    if output["shape"][0] != rows or math.prod(output["shape"]) * 4 != size * rows:
        raise SystemExit(f"the output is {output}, expected {rows} rows of FP32")
    return [content[size * row : size * (row + 1)] for row in range(rows)]


async def compose(
    server: Server, model: str, front: str, requests: int, seed: int
) -> dict[int, Counter[bytes]]:
    """The digests of the answers to each row, with how often each was given."""
    found: dict[int, Counter[bytes]] = defaultdict(Counter)
    async with asking(server, model, front) as (ask, rows):
        left = iter(range(requests))

        async def call(number: int) -> None:
            random = np.random.default_rng((seed, number))
            for _ in left:
                chosen = random.integers(ROWS, size=random.integers(1, MOST_ROWS + 1))
                for row, answer in zip(chosen, await ask(rows[chosen]), strict=True):
                    found[int(row)][hashlib.sha256(answer).digest()] += 1

        await asyncio.gather(*[call(number) for number in range(CALLERS)])
    return found


def buckets(server: Server) -> str:
    """How many micro-batches of each bucket were executed."""
    with urllib.request.urlopen(f"http://{server.http}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
    counts = {
        int(sample.labels["bucket"]): int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == "batchproof_execution_seconds_count"
    }
    return " ".join(f"{rows}:{count}" for rows, count in sorted(counts.items()) if count)


def settings_of(engine: str, front: str, devices: str) -> dict[str, str]:
    """The variables of a server."""
    chosen = {
        "BATCHPROOF_ENGINE__NAME": engine,
        "BATCHPROOF_DEVICES__KIND": devices,
    }
    if front == REST:
        return chosen | {"BATCHPROOF_WEB__ENABLED": "true", "BATCHPROOF_WEB__PORT": "0"}
    return chosen | {"BATCHPROOF_SERVER__FRONT": front}


def main() -> int:
    """Prints a line for each bundle, engine and front; 1 where a row had two answers."""
    parser = argparse.ArgumentParser(description="Distinct answers of rows in random company.")
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--engines", nargs="+", default=["openvino", "tensorflow"])
    parser.add_argument("--fronts", nargs="+", default=["completion_queue", "grpc_aio", REST])
    parser.add_argument("--devices", nargs="+", default=["thread"])
    given = parser.parse_args()
    most = 1
    print("| bundle | engine | devices | front | requests | rows | answers a row | buckets |")
    print("|---|---|---|---|---|---|---|---|")
    for bundle in given.bundles or default_bundles():
        name = bundle.resolve().parent.name
        subject = Subject(name, bundle, Path(), (), "")
        for engine in given.engines:
            for devices in given.devices:
                for front in given.fronts:
                    with served(subject, settings_of(engine, front, devices)) as server:
                        found = asyncio.run(compose(server, name, front, given.requests, seed=1))
                        executed = buckets(server)
                    answers = max(len(digests) for digests in found.values())
                    rows = sum(digests.total() for digests in found.values())
                    most = max(most, answers)
                    cells = (name, engine, devices, front, given.requests, rows, answers, executed)
                    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return 0 if most == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
