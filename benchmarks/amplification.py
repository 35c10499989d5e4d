"""How long a message that is nearly nothing, very often, keeps another caller waiting.

    python benchmarks/amplification.py [--bytes 4000000] [--rounds 3] [--plain] [--only TEXT]
    python benchmarks/amplification.py --tensor [--bytes 60000000] [--rounds 3] [--plain]

One caller sends messages in which one field comes as often as fits into so many bytes, compressed
unless ``--plain`` is given, for every repeated field of every method of the port, or for those in
whose line TEXT stands; with ``--tensor``, one tensor that is answered. Another asks for the list of
models all the time, from a process of its own with a higher priority. Prints the longest wait of
that other caller while each message was read and refused (the median of the rounds and the
greatest), the messages with the longest, and the server's memory before, at its peak and after.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from batchproof.v1 import prediction_pb2 as pb
from processes import Server, served
from subjects import affine_floats, affine_small
from support.every_method import Often, methods, repeated

WATCH: Final = "--watch"
_PAUSE_S: Final = 0.002
_SETTLED_S: Final = 0.05
_SHOWN: Final = 5

# Its line, which begins with the path of its method; its bytes; whether its method is a stream.
Message: TypeAlias = tuple[str, Callable[[], bytes], bool]


def watch(address: str) -> None:
    """Asks again and again; prints the instant and the duration of each call."""
    os.nice(-10 if os.geteuid() == 0 else 0)
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary("/batchproof.v1.PredictionService/ListModels")
        while True:
            began_s = time.monotonic()
            call(b"", timeout=120)
            print(began_s, time.monotonic() - began_s, flush=True)
            time.sleep(_PAUSE_S)  # asks at a steady rate, as a caller would


@contextmanager
def watching(address: str, file: Path) -> Iterator[None]:
    """The other caller, whose waits go to a file."""
    with file.open("w") as waits:
        command = [sys.executable, __file__, WATCH, address]
        with subprocess.Popen(command, stdout=waits) as process:
            while not file.stat().st_size:  # until its first answer is written
                time.sleep(_PAUSE_S)
            try:
                yield
            finally:
                process.terminate()


def send(channel: grpc.Channel, path: str, content: bytes, *, is_stream: bool) -> str:
    """How the call ended."""
    try:
        if is_stream:
            stream: Any = channel.stream_stream(path)
            answers = stream(iter((content,)), timeout=60)
            next(answers)
            answers.cancel()
        else:
            unary: Any = channel.unary_unary(path)
            unary(content, timeout=60)
    except grpc.RpcError as ended:
        code: Any = ended
        return str(code.code().name)
    return "OK"


def content_of(often: Often, size_bytes: int) -> bytes:
    """A message of about this size."""
    one = len(often.content(1))
    return often.content(max(1, size_bytes // max(one, 2)))


def fields(arguments: argparse.Namespace) -> Iterator[Message]:
    """A message for every field that repeats."""
    for path, method in methods().items():
        for often in repeated(method.input_type):
            name = f"{path} {often}"
            if arguments.only in name:
                yield (
                    name,
                    partial(content_of, often, arguments.size_bytes),
                    method.server_streaming,
                )


def tensor(arguments: argparse.Namespace) -> Iterator[Message]:
    """One tensor of as many rows as fit."""
    request = pb.PredictRequest.FromString(affine_floats().message.read_bytes())
    (rows,) = request.tensors.tensors.values()
    count = max(1, arguments.size_bytes // len(rows.content))
    rows.shape[0], rows.content = count, rows.content * count
    content = request.SerializeToString()
    yield "/batchproof.v1.PredictionService/Predict tensors", lambda: content, False


def measure(
    server: Server, arguments: argparse.Namespace
) -> dict[str, list[tuple[float, float, str]]]:
    """The instants between which each field was sent, and how that ended."""
    sent: dict[str, list[tuple[float, float, str]]] = {}
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    form = grpc.Compression.NoCompression if arguments.plain else grpc.Compression.Gzip
    messages = tuple(tensor(arguments) if arguments.tensor else fields(arguments))
    with grpc.insecure_channel(server.grpc, options=options, compression=form) as channel:
        for _ in range(arguments.rounds):
            for name, make, is_stream in messages:
                content = make()
                began_s = time.monotonic()
                code = send(channel, name.split()[0], content, is_stream=is_stream)
                time.sleep(_SETTLED_S)  # so that each wait is one message's
                sent.setdefault(name, []).append((began_s, time.monotonic(), code))
    return sent


def read_waits(file: Path) -> list[tuple[float, float]]:
    """The instant and the duration of each call of the other caller."""
    lines = [line.split() for line in file.read_text().splitlines()]
    # The last one may have been cut.
    return [(float(line[0]), float(line[1])) for line in lines if len(line) == len(("at", "took"))]


def longest(waits: list[tuple[float, float]], began_s: float, ended_s: float) -> float:
    """Of the calls that overlap the span."""
    during = (took for at, took in waits if at <= ended_s and at + took >= began_s)
    return max(during, default=0.0)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description="Waits of others beside very repetitive messages.")
    parser.add_argument("--bytes", type=int, default=4_000_000, dest="size_bytes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="not compressed")
    parser.add_argument("--tensor", action="store_true", help="one that is answered")
    parser.add_argument("--only", default="", help="of the fields in whose line this stands")
    arguments = parser.parse_args()
    subject = affine_floats() if arguments.tensor else affine_small()
    file = subject.message.with_name("waits.txt")
    with served(subject) as server:
        before_mb = server.memory_mb("VmRSS")
        with watching(server.grpc, file):
            sent = measure(server, arguments)
        peak_mb, after_mb = server.memory_mb("VmHWM"), server.memory_mb("VmRSS")
    waits = read_waits(file)
    worst = {
        field: [longest(waits, began_s, ended_s) for began_s, ended_s, _ in spans]
        for field, spans in sent.items()
    }
    medians = {field: statistics.median(each) for field, each in worst.items()}
    codes = sorted({code for spans in sent.values() for _, _, code in spans})
    print(f"{len(sent)} messages of {arguments.size_bytes} bytes each, {', '.join(codes)}")
    print(f"longest wait: {max(medians.values()):.3f} s (median of the rounds of the worst field),")
    print(f"              {max(max(each) for each in worst.values()):.3f} s at all")
    for field in sorted(medians, key=medians.__getitem__, reverse=True)[:_SHOWN]:
        print(f"  {medians[field]:.3f} s  {field}")
    print(f"memory: {before_mb:.0f} MB before, {peak_mb:.0f} at the peak, {after_mb:.0f} after")


if __name__ == "__main__":
    if sys.argv[1:2] == [WATCH]:
        watch(sys.argv[2])
    else:
        main()
