"""The road of one request: through how many files and calls of ours it goes.

    python benchmarks/road.py [--files]

Serves the embedded model, warms it up, and traces single requests: a picture, a tensor row, and a
picture with test-time augmentation. Of several tries the shortest counts, since a timer of the
server may ring at any time. Calls are Python frames of the server and the wire contract, each
resumption of a coroutine among them, on every thread, until the accounting after the answer.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from batchproof_client import Client

Call: TypeAlias = tuple[str, str, str]
"""Thread, file and function."""

ROOT: Final = Path(__file__).resolve().parents[1]
BUNDLE: Final = ROOT / "examples/fashion_mnist/models/fashion-mnist/1"
PICTURE: Final = BUNDLE / "samples/09-ankle-boot-4.png"
_TRIES = 8
_SETTLED_S = 0.3


@contextmanager
def traced_server() -> Iterator[tuple[Client, Callable[[Callable[[], Any]], list[Call]]]]:
    """A client of a traced server, and what traces one question of it."""
    script = str(Path(__file__).with_name("traced_server.py"))
    ports = ("--grpc-port", "0", "--http-port", "0", "--log-level", "error")
    command = [sys.executable, script, "serve", str(BUNDLE), *ports]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    ) as process:
        try:
            with _asking(process) as asked:
                yield asked
        finally:
            process.terminate()


@contextmanager
def _asking(
    process: "subprocess.Popen[str]",
) -> Iterator[tuple[Client, Callable[[Callable[[], Any]], list[Call]]]]:
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    told, says = process.stdin, process.stdout

    def trace(ask: Callable[[], Any]) -> list[Call]:
        print("on", file=told, flush=True)
        time.sleep(_SETTLED_S)
        ask()
        time.sleep(_SETTLED_S)
        print("off", file=told, flush=True)
        return [tuple(call) for call in json.loads(says.readline())]

    address = json.loads(says.readline())["grpc"]
    wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "300"]
    subprocess.run([*wait, "--server", address], check=True, capture_output=True)
    with Client(address) as client:
        yield client, trace


def roads() -> dict[str, list[Call]]:
    """The calls of each kind of request."""
    row = np.zeros((28, 28, 1), np.float32)
    with traced_server() as (client, trace):
        asks: dict[str, Callable[[], Any]] = {
            "picture": lambda: client.predict(PICTURE),
            "tensor row": lambda: client.predict(row),
            "picture, tta=flip": lambda: client.predict(PICTURE, tta="flip"),
        }
        found = {}
        for name, ask in asks.items():
            for _ in range(_WARM_UPS):
                ask()
            found[name] = min((trace(ask) for _ in range(_TRIES)), key=len)
    return found


# Until the memory of the self-check is full, each request is copied into it.
_WARM_UPS = 40


def files_of(calls: list[Call]) -> Counter[str]:
    """How many calls each file had."""
    return Counter(file for _, file, _ in calls)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Files and calls of one request.")
    parser.add_argument("--files", action="store_true", help="list the files and their calls")
    arguments = parser.parse_args()
    print(f"{'request':<20} files  functions  calls")
    for name, calls in roads().items():
        functions = len({call[1:] for call in calls})
        print(f"{name:<20} {len(files_of(calls)):>5}  {functions:>9}  {len(calls):>5}")
        for file, count in files_of(calls).most_common() if arguments.files else ():
            print(f"    {count:>3} {file}")


if __name__ == "__main__":
    main()
