"""What a diagnosis adds to the waits of Predict: asks a running server for both at once.

    batchproof-server serve examples/fashion_mnist/models &
    python benchmarks/diagnosis_wait.py PICTURE [--server HOST:PORT] [--metrics HOST:PORT]

Predict is asked once every ``--every-s``, as somebody does who leaves the server idle in between.
What a diagnosis adds to the worst wait is compared with an execution of the smallest bucket, of
which the server counts how many took how long. Of both sides as many calls are taken: the worst of
more calls is worse.
"""

import argparse
import asyncio
import time
import urllib.request
from collections.abc import Awaitable, Callable
from itertools import chain

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from batchproof_client import AsyncClient, Question


async def waits_ms(
    client: AsyncClient, picture: str, every_s: float, until: asyncio.Event
) -> list[float]:
    """Of Predict, until somebody says that it is enough."""
    waits: list[float] = []
    while not until.is_set():
        began_s = time.perf_counter()
        await client.predict(picture)
        waits.append((time.perf_counter() - began_s) * 1e3)
        await asyncio.sleep(every_s)
    return waits


async def beside(
    client: AsyncClient, arguments: argparse.Namespace, other: Callable[[], Awaitable[object]]
) -> tuple[list[float], float]:
    """The waits of Predict while something else is done, and how long that took."""
    until, began_s = asyncio.Event(), time.perf_counter()
    asking = asyncio.ensure_future(waits_ms(client, arguments.picture, arguments.every_s, until))
    await other()
    took_s = time.perf_counter() - began_s
    until.set()
    return await asking, took_s


def line(title: str, waits: list[float]) -> str:
    """For the table."""
    p50, p99 = np.quantile(waits, [0.5, 0.99])
    return f"{title:24} {len(waits):6} {p50:8.2f} {p99:8.2f} {max(waits):8.2f}"


def added_ms(alone: list[list[float]], together: list[list[float]]) -> list[float]:
    """By how much the worst wait of each repeat is greater, of as many calls."""
    counts = [min(len(one), len(other)) for one, other in zip(alone, together, strict=True)]
    return [
        max(other[:count]) - max(one[:count])
        for one, other, count in zip(alone, together, counts, strict=True)
    ]


def smallest_bucket(metrics: str) -> str:
    """Executions of the smallest bucket since the server began, in words."""
    with urllib.request.urlopen(f"http://{metrics}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
    samples = [
        sample
        for family in families
        for sample in family.samples
        if sample.name.startswith("batchproof_execution_seconds")
    ]
    rows = min(int(sample.labels["bucket"]) for sample in samples)
    own = [sample for sample in samples if int(sample.labels["bucket"]) == rows]
    total, count = (
        sum(sample.value for sample in own if sample.name.endswith(end)) for end in ("sum", "count")
    )
    within = sorted(
        (float(sample.labels["le"]), sample.value) for sample in own if "le" in sample.labels
    )
    most = next(limit for limit, below in within if below >= 0.99 * count)
    return (
        f"an execution of {rows}: {count:.0f} took {total / count * 1e3:.2f} ms in the mean, "
        f"99 % of them at most {most * 1e3:g} ms"
    )


async def run(arguments: argparse.Namespace) -> None:
    """Measures and prints, each once without and once with a diagnosis in turn."""
    alone: list[list[float]] = []
    together: list[list[float]] = []
    async with AsyncClient(arguments.server, timeout_s=120) as client:
        question = Question(arguments.picture)
        for number in range(arguments.repeats):
            began_s = time.perf_counter()
            await client.diagnose(question)
            idle_s = time.perf_counter() - began_s
            waits, took_s = await beside(client, arguments, lambda: client.diagnose(question))
            together.append(waits)
            waits, _ = await beside(client, arguments, lambda: asyncio.sleep(took_s))  # noqa: B023 - awaited here
            alone.append(waits)
            what = "with the reference pictures" if number == 0 else "once more"
            print(f"diagnosis alone, {what}: {idle_s:.2f} s; beside Predict: {took_s:.2f} s")
    print(f"{'Predict, ms':24} {'calls':>6} {'p50':>8} {'p99':>8} {'worst':>8}")
    print(line("no diagnosis", list(chain(*alone))))
    print(line("a diagnosis under way", list(chain(*together))))
    added = added_ms(alone, together)
    print(f"added to the worst wait, ms: {np.median(added):.2f} (median of {len(added)} repeats)")
    print(smallest_bucket(arguments.metrics))


def main() -> None:
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("picture", help="a file that the only model of the server takes")
    parser.add_argument("--server", default="127.0.0.1:8500")
    parser.add_argument("--metrics", default="127.0.0.1:8080", help="its port of /metrics")
    parser.add_argument("--every-s", type=float, default=0.02)
    parser.add_argument("--repeats", type=int, default=20)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
