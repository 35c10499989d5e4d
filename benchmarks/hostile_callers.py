"""What hostile and unlucky callers do to a server, each as a figure of what it costs others."""

import re
import socket
import statistics
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from subprocess import run
from sys import executable
from tempfile import TemporaryDirectory
from typing import Any, Final

import grpc
import numpy as np
from PIL import Image

import amplification
import empty_streams
from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from bundles import write_asserting
from processes import Server, served
from subjects import KEPT, Subject, affine_floats, affine_small, embedded
from support.slow_callers import HALF, SlowCallers

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
EMPTY_INPUT: Final = b"\x2a\x00"
ALONE: Final = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
_WEBP_SIDE: Final = 4_200  # flat, 47 kB; one of 5,160, 71 kB, is refused with this budget
_SETTLED_S: Final = 0.5


def empties(count: int, form: grpc.Compression, rounds: int) -> tuple[float, float]:
    """So many empty inputs in one message: another's longest wait, s; growth of memory, MB."""
    with (
        served(affine_small()) as server,
        grpc.insecure_channel(server.grpc, ALONE, form) as channel,
    ):
        _forget_peak(server)
        before_mb = server.memory_mb("VmRSS")
        content = EMPTY_INPUT * count
        act = partial(amplification.send, channel, MODEL_INFER, content, is_stream=False)
        waited_s = _waits_s(server, act, rounds)
        return statistics.median(waited_s), server.memory_mb("VmHWM") - before_mb


def every_field(rounds: int) -> tuple[float]:
    """4 MB of each repeated field of all methods in turn: the longest wait for the worst, s."""
    return (_amplified_s(affine_small(), rounds, size_bytes=4_000_000, plain=False),)


def large_tensor(rounds: int) -> tuple[float]:
    """One tensor of 60 MB, not compressed: another caller's longest wait, s."""
    subject = affine_floats()
    return (_amplified_s(subject, rounds, size_bytes=60_000_000, plain=True, tensor=True),)


def headers_alone(front: str, rounds: int) -> tuple[float]:
    """50,000 streams of headers alone on one connection: another caller's longest wait, s."""
    with served(affine_small(), {"BATCHPROOF_SERVER__FRONT": front}) as server:
        act = partial(empty_streams.flood, server, 50_000)
        return (statistics.median(_waits_s(server, act, rounds)),)


def webp(rounds: int) -> tuple[float, float]:
    """24 WebP files at once that a budget of 320 MB just lets in: answered; memory, MB."""
    stream = BytesIO()
    Image.new("RGB", (_WEBP_SIDE, _WEBP_SIDE), (1, 2, 3)).save(stream, "WEBP", method=0)
    request = pb.PredictRequest(images=pb.EncodedImages(contents=[stream.getvalue()]))
    settings = {
        "BATCHPROOF_DECODING__THREADS": "4",
        "BATCHPROOF_DECODING__MAX_DECODED_BYTES": "320_000_000",
    }
    with served(embedded(), settings) as server, _service(server) as stub:
        stub.Predict(_pictures((28, 28)))
        _forget_peak(server)
        before_mb = server.memory_mb("VmRSS")
        answered = [
            _answered(stub.Predict.future(request, timeout=600) for _ in range(24))
            for _ in range(rounds)
        ]
        return float(min(answered)), server.memory_mb("VmHWM") - before_mb


def greedy_streams(rounds: int) -> tuple[float]:
    """One client with all 64 streams and a full queue: requests of another answered, of 20."""
    answered = []
    with served(embedded()) as server:
        for _ in range(rounds):
            with _greedy(server), _service(server) as polite:
                asked = [_in_time(polite) for _ in range(20)]
                answered.append(float(sum(asked)))
    return (min(answered),)


@contextmanager
def _greedy(server: Server) -> Iterator[None]:
    """64 streams of one connection, each with as many unanswered requests as it may have."""
    rows = np.zeros((32, 28, 28, 1), np.float32)
    request = pb.PredictRequest()
    request.tensors.tensors["image"].CopyFrom(to_proto(rows))
    message = pb.PredictStreamRequest(request=request)

    def endless() -> Iterator[pb.PredictStreamRequest]:
        while True:
            yield message

    with _service(server) as greedy, ExitStack() as stack:
        for _ in range(64):
            stack.callback(greedy.PredictStream(endless()).cancel)
        time.sleep(_SETTLED_S)
        yield


def _in_time(stub: Any) -> bool:
    row = np.zeros((1, 28, 28, 1), np.float32)
    request = pb.PredictRequest()
    request.tensors.tensors["image"].CopyFrom(to_proto(row))
    with suppress(grpc.RpcError):
        stub.Predict(request, timeout=10)
        return True
    return False


def slow_scrapes(rounds: int) -> tuple[float, float]:
    """1,000 callers of half a request at the operations port: of 20 scrapes in time; longest, s."""
    answered, longest_s = [], 0.0
    with served(affine_small()) as server:
        for _ in range(rounds):
            with SlowCallers(server.http, 1_000).calling():
                took_s = [_scrape_s(server) for _ in range(20)]
            answered.append(float(sum(each <= 1.0 for each in took_s)))
            longest_s = max(longest_s, *took_s)
    return min(answered), longest_s


def _scrape_s(server: Server) -> float:
    began_s = time.monotonic()
    with suppress(urllib.error.URLError, OSError):
        server.metrics()
        return time.monotonic() - began_s
    return float("inf")


def half_requests(rounds: int) -> tuple[float]:
    """400 half requests at the operations port: threads that the server has more than before."""
    del rounds  # the number is no matter of chance
    with served(affine_small()) as server, ExitStack() as stack:
        threads = Path(f"/proc/{server.process.pid}/task")
        before = len(list(threads.iterdir()))
        host, port = server.http.rsplit(":", 1)
        for _ in range(400):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(HALF)
        time.sleep(_SETTLED_S)
        return (float(len(list(threads.iterdir())) - before),)


def bad_rows(rounds: int) -> tuple[float]:
    """60 rows that the model refuses among 420 that it does not: how many of those get answers."""
    subject = Subject("asserting", write_asserting(KEPT / "asserting/1"), KEPT, (12, 12, 3))
    with served(subject) as server, _service(server) as stub:
        of_all = [sum(_one_in_eight_bad(stub) for _ in range(15)) for _ in range(rounds)]
        return (float(min(of_all)),)


def _one_in_eight_bad(stub: Any) -> int:
    """32 requests at once, four of them bad; how many of the good ones were answered."""
    requests = [_level(5_000.0 if place % 8 == 0 else 25.0) for place in range(32)]
    futures = [stub.Predict.future(request, timeout=60) for request in requests]
    return sum(
        future.code() is grpc.StatusCode.OK for place, future in enumerate(futures) if place % 8
    )


def _level(level: float) -> pb.PredictRequest:
    request = pb.PredictRequest()
    row = np.full((1, 12, 12, 3), level, np.float32)
    request.tensors.tensors["image"].CopyFrom(to_proto(row))
    return request


def corpora(rounds: int) -> tuple[float, float, float, float]:
    """The models of the proof's tests: bad ones, those missed; good ones, those with an alarm."""
    del rounds  # every run gives the same
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        tests = [str(ROOT / "tests/model/proof" / name) for name in _CORPORA]
        command = (executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        run([*command, f"--junitxml={report}"], cwd=ROOT, check=False, capture_output=True)
        # Written by pytest a moment ago.
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own report
    bad, good = (_of_kind(cases, kind) for kind in ("bad", "good"))
    failed = [sum(map(_has_failed, each)) for each in (bad, good)]
    return float(len(bad)), float(failed[0]), float(len(good)), float(failed[1])


_CORPORA: Final = ("test_audit_corpus.py", "test_every_door.py")


def _of_kind(cases: Iterable[Any], kind: str) -> list[Any]:
    pattern = re.compile(rf"test_an?_{kind}_")
    return [each for each in cases if pattern.match(each.get("name"))]


def _has_failed(case: Any) -> bool:
    return any(case.find(tag) is not None for tag in ("failure", "error"))


def _amplified_s(subject: Subject, rounds: int, **given: Any) -> float:
    """Of the worst message: the median over the rounds of another caller's longest wait."""
    arguments = Namespace(**{"only": "", "tensor": False, "rounds": rounds} | given)
    file = KEPT / "waits.txt"
    with served(subject) as server, amplification.watching(server.grpc, file):
        sent = amplification.measure(server, arguments)
    waits = amplification.read_waits(file)
    worst = (
        statistics.median(
            amplification.longest(waits, began_s, ended_s) for began_s, ended_s, _ in spans
        )
        for spans in sent.values()
    )
    return max(worst)


def _waits_s(server: Server, act: Callable[[], object], rounds: int) -> list[float]:
    """The longest wait of another caller while each was done."""
    file, spans = KEPT / "waits.txt", []
    with amplification.watching(server.grpc, file):
        for _ in range(rounds):
            began_s = time.monotonic()
            act()
            spans.append((began_s, time.monotonic()))
            time.sleep(_SETTLED_S)  # so that each wait is one round's
    waits = amplification.read_waits(file)
    return [amplification.longest(waits, *span) for span in spans]


@contextmanager
def _service(server: Server) -> Iterator[Any]:
    """By a connection of its own."""
    with grpc.insecure_channel(server.grpc, ALONE) as channel:
        yield pb_grpc.PredictionServiceStub(channel)


def _pictures(size: tuple[int, int]) -> pb.PredictRequest:
    stream = BytesIO()
    Image.new("L", size).save(stream, "PNG")
    return pb.PredictRequest(images=pb.EncodedImages(contents=[stream.getvalue()]))


def _answered(futures: Iterable[Any]) -> int:
    """How many; returns when all have ended."""
    return sum(future.code() is grpc.StatusCode.OK for future in tuple(futures))


def _forget_peak(server: Server) -> None:
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
