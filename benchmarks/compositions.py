"""One answer for each row, whatever it is sent with: random requests over the wire.

    python benchmarks/compositions.py BUNDLE... [--requests 10000] [--engines ...] [--fronts ...]

Serves each bundle on each engine and each front. Callers send random rows of a fixed set, one to
seven at a time, each caller its own, so that rows meet in random micro-batches at random places.
The probabilities of each row are hashed: one distinct answer for each row is what is proven. The
last column shows that the rows did meet: how many micro-batches of each bucket were executed.
"""

import argparse
import asyncio
import hashlib
import sys
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from batchproof_client import AsyncClient
from processes import Server, served
from subjects import Subject

ROWS: Final = 40
MOST_ROWS: Final = 7
CALLERS: Final = 24


async def compose(server: Server, requests: int, seed: int) -> dict[int, Counter[bytes]]:
    """The digests of the answers to each row, with how often each was given."""
    found: dict[int, Counter[bytes]] = defaultdict(Counter)
    async with AsyncClient(server.grpc, timeout_s=600.0) as client:
        (model,) = await client.list_models()
        (spec,) = (await client.get_model(model.name)).inputs
        sizes = tuple(size if size > 0 else 64 for size in spec.shape[1:])
        rows = (np.random.default_rng(0).random((ROWS, *sizes)) * 255).astype(spec.dtype)
        left = iter(range(requests))

        async def call(number: int) -> None:
            random = np.random.default_rng((seed, number))
            for _ in left:
                chosen = random.integers(ROWS, size=random.integers(1, MOST_ROWS + 1))
                answer = await client.predict(rows[chosen], return_probabilities=True)
                for row, prediction in zip(chosen, answer.rows, strict=True):
                    assert prediction.probabilities is not None  # noqa: S101 - they were asked for
                    digest = hashlib.sha256(prediction.probabilities.tobytes()).digest()
                    found[int(row)][digest] += 1

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


def main() -> int:
    """Prints a line for each bundle, engine and front; 1 where a row had two answers."""
    parser = argparse.ArgumentParser(description="Distinct answers of rows in random company.")
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--engines", nargs="+", default=["openvino", "tensorflow"])
    parser.add_argument("--fronts", nargs="+", default=["completion_queue", "grpc_aio"])
    arguments = parser.parse_args()
    most = 1
    print(f"{'bundle':<20} {'engine':<11} {'front':<17} requests   rows  answers a row  buckets")
    for bundle in arguments.bundles:
        for engine in arguments.engines:
            for front in arguments.fronts:
                subject = Subject(bundle.parent.name, bundle, Path(), (), "")
                settings = {"BATCHPROOF_ENGINE__NAME": engine, "BATCHPROOF_SERVER__FRONT": front}
                with served(subject, settings) as server:
                    found = asyncio.run(compose(server, arguments.requests, seed=1))
                    executed = buckets(server)
                answers = max(len(digests) for digests in found.values())
                rows = sum(digests.total() for digests in found.values())
                most = max(most, answers)
                counts = f"{arguments.requests:>8} {rows:>6} {answers:>14}"
                print(
                    f"{subject.label:<20} {engine:<11} {front:<17} {counts}  {executed}", flush=True
                )
    return 0 if most == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
