"""What REST costs beside gRPC: the same row over each form, in turns.

Prints requests/s, the median latency, and the processor time of the server a request, which other
work on the machine changes the least.

    python benchmarks/rest.py [--rounds 5] [--seconds 2]

Starts one server with an affine model (64 numbers in, 10 out) and asks it with clients of this
process, so that the figures hold the client's own cost too. Every form is measured once a round.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from grpc import aio

from batchproof.compat import inference_pb2 as oip
from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb

VALUES = 64
Ask = Callable[[], Awaitable[None]]
Connect = Callable[[dict[str, str]], Awaitable[Ask]]


def _grpc(method: str, message: bytes) -> Connect:
    async def connect(addresses: dict[str, str]) -> Ask:
        channel = aio.insecure_channel(addresses["grpc"], [("grpc.use_local_subchannel_pool", 1)])
        call: Any = channel.unary_unary(method)

        async def ask() -> None:
            await call(message)

        return ask

    return connect


def _http(path: str, body: bytes, headers: str = "") -> Connect:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    request = head.encode() + body

    async def connect(addresses: dict[str, str]) -> Ask:
        host, _, port = addresses["web"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))

        async def ask() -> None:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            length = answer.lower().split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))

        return ask

    return connect


def _forms() -> dict[str, Connect]:
    row = np.random.default_rng(0).normal(size=(1, VALUES)).astype(np.float32)
    own = pb.PredictRequest(tensors=pb.NamedTensors(tensors={"image": to_proto(row)}))
    infer = oip.ModelInferRequest(model_name="affine", raw_input_contents=[row.tobytes()])
    infer.inputs.add(name="image", datatype="FP32", shape=row.shape)
    given = {"name": "image", "datatype": "FP32", "shape": list(row.shape)}
    behind = given | {"parameters": {"binary_data_size": row.nbytes}}
    parameters = {"binary_data_output": True}
    text = json.dumps({"inputs": [behind], "parameters": parameters}).encode()
    header = f"Inference-Header-Content-Length: {len(text)}\r\n"
    in_json = json.dumps({"inputs": [given | {"data": row.tolist()}]}).encode()
    rows = json.dumps({"instances": row.tolist()}).encode()
    path = "/v2/models/affine/infer"
    return {
        "gRPC, batchproof.v1": _grpc(
            "/batchproof.v1.PredictionService/Predict", own.SerializeToString()
        ),
        "gRPC, Open Inference": _grpc(
            "/inference.GRPCInferenceService/ModelInfer", infer.SerializeToString()
        ),
        "REST, Open Inference, binary": _http(path, text + row.tobytes(), header),
        "REST, Open Inference, JSON": _http(path, in_json),
        "REST, TensorFlow Serving": _http("/v1/models/affine:predict", rows),
    }


def _processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(
    connect: Connect, addresses: dict[str, str], callers: int, seconds: float, process: int
) -> tuple[float, float, float]:
    """Requests/s, the median latency in ms, and the processor time a request in us."""
    asks = [await connect(addresses) for _ in range(callers)]
    latencies_s: list[float] = []
    used_s, end_s = _processor_s(process), time.perf_counter() + seconds

    async def loop(ask: Ask) -> None:
        while (began_s := time.perf_counter()) < end_s:
            await ask()
            latencies_s.append(time.perf_counter() - began_s)

    await asyncio.gather(*map(loop, asks))
    used_us = (_processor_s(process) - used_s) * 1e6
    count = len(latencies_s)
    return count / seconds, statistics.median(latencies_s) * 1e3, used_us / count


async def _compare(addresses: dict[str, str], rounds: int, seconds: float, process: int) -> None:
    for callers in (1, 32):
        seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in _forms()}
        for _ in range(rounds):
            for name, connect in _forms().items():
                figures = await _measure(connect, addresses, callers, seconds, process)
                seen[name].append(figures)
        print(f"{callers} connections (medians of {rounds}): requests/s, ms, processor us")
        for name, measured in seen.items():
            rate, latency_ms, used_us = map(statistics.median, zip(*measured, strict=True))
            print(f"  {name:32} {rate:8.0f} {latency_ms:8.2f} {used_us:8.0f}")


def _wait_ready(address: str) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/v2/health/ready").close()
        except urllib.error.HTTPError as not_yet:
            not_yet.close()
            time.sleep(0.1)
        else:
            return


def main() -> None:
    """Starts the server and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bundle = Path(directory) / "affine" / "1"
        bundle.mkdir(parents=True)
        affine = {"input_shape": [VALUES], "input_dtype": "float32", "classes": 10}
        (bundle / "affine.json").write_text(json.dumps(affine | {"scale": 2.0, "offset": 1.0}))
        (bundle / "batchproof.toml").write_text("format = 1\n")
        ports = ["--grpc-port", "0", "--http-port", "0", "--web-port", "0"]
        command = [sys.executable, "-m", "batchproof_server", "serve", directory, *ports]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
            try:
                assert server.stdout is not None  # noqa: S101 - a pipe
                addresses = json.loads(server.stdout.readline())
                _wait_ready(addresses["web"])
                asyncio.run(_compare(addresses, given.rounds, given.seconds, server.pid))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
