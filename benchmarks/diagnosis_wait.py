"""What a diagnosis adds to the waits of Predict: asks a running server for both at once.

    batchproof-server serve examples/fashion_mnist/models &
    python benchmarks/diagnosis_wait.py PICTURE [--server HOST:PORT] [--repeats 3]

Predict is asked once every ``--every-s``, as somebody does who leaves the server idle in between.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np

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


async def run(arguments: argparse.Namespace) -> None:
    """Measures and prints, each once without and once with a diagnosis in turn."""
    alone: list[float] = []
    together: list[float] = []
    async with AsyncClient(arguments.server, timeout_s=120) as client:
        question = Question(arguments.picture)
        for number in range(arguments.repeats):
            began_s = time.perf_counter()
            await client.diagnose(question)
            idle_s = time.perf_counter() - began_s
            waits, took_s = await beside(client, arguments, lambda: client.diagnose(question))
            together += waits
            waits, _ = await beside(client, arguments, lambda: asyncio.sleep(took_s))  # noqa: B023 - awaited here
            alone += waits
            what = "with the reference pictures" if number == 0 else "once more"
            print(f"diagnosis alone, {what}: {idle_s:.2f} s; beside Predict: {took_s:.2f} s")
    print(f"{'Predict, ms':24} {'calls':>6} {'p50':>8} {'p99':>8} {'worst':>8}")
    print(line("no diagnosis", alone))
    print(line("a diagnosis under way", together))


def main() -> None:
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("picture", help="a file that the only model of the server takes")
    parser.add_argument("--server", default="127.0.0.1:8500")
    parser.add_argument("--every-s", type=float, default=0.02)
    parser.add_argument("--repeats", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
