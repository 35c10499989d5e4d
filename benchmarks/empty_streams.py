"""How long calls of headers alone, very many on one connection, keep another caller waiting.

    python benchmarks/empty_streams.py [--streams 50000] [--rounds 3]

One caller speaks HTTP/2 frame by frame and opens stream after stream, whatever the server allows:
headers of a call and never a message. Another asks for the list of models all the time, from a
process of its own with a higher priority. Prints the longest wait of that other caller for each
front (the median of the rounds and the greatest).
"""

import argparse
import socket
import statistics
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from amplification import longest, read_waits, watching
from processes import Server, served
from subjects import affine_small
from support.raw_http2 import PREFACE, headers_frame, settings_frame

FRONTS: Final = ("completion_queue", "grpc_aio")
METHOD: Final = "/batchproof.v1.PredictionService/Predict"
_AT_ONCE: Final = 500
_SETTLED_S: Final = 2.0
_READ_BYTES: Final = 1 << 20


def flood(server: Server, streams: int) -> int:
    """Opens so many streams on one connection; how many were begun before it was closed."""
    host, _, port = server.grpc.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        threading.Thread(target=_drain, args=(connection,), daemon=True).start()
        connection.sendall(PREFACE + settings_frame())
        for first in range(0, streams, _AT_ONCE):
            frames = (headers_frame(METHOD, 2 * (first + n) + 1) for n in range(_AT_ONCE))
            try:
                connection.sendall(b"".join(frames))
            except OSError:
                return first
        time.sleep(_SETTLED_S)  # what was begun goes on for a while
    return streams


def _drain(connection: socket.socket) -> None:
    """Reads what the server says, or it would stop to listen."""
    with suppress(OSError):
        while connection.recv(_READ_BYTES):
            pass


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description="Waits of others beside streams of headers alone.")
    parser.add_argument("--streams", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    subject = affine_small()
    file = subject.message.with_name("waits.txt")
    for front in FRONTS:
        spans, begun = [], []
        with (
            served(subject, {"BATCHPROOF_SERVER__FRONT": front}) as server,
            watching(server.grpc, file),
        ):
            for _ in range(arguments.rounds):
                began_s = time.monotonic()
                begun.append(flood(server, arguments.streams))
                spans.append((began_s, time.monotonic()))
                time.sleep(_SETTLED_S)  # so that each wait is one connection's
        waits = read_waits(file)
        worst = [longest(waits, *span) for span in spans]
        print(f"{front}: {min(begun)} streams of {arguments.streams} begun")
        print(
            f"  longest wait: {statistics.median(worst):.3f} s (median), {max(worst):.3f} s at all"
        )


if __name__ == "__main__":
    main()
