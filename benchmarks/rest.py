"""(j) The same row over each form of REST and of gRPC, in turns."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof.compat import inference_pb2 as oip
from batchproof.tensors import Array, from_proto
from batchproof.v1 import prediction_pb2 as pb
from bench import Bench
from closed_loop import HTTP, METHOD
from measuring import Figures, difference, interleaved, medians, ratio
from processes import Server, closed_loop, served
from results import Cell, Outcome, Table
from subjects import KEPT, Subject, affine_bytes, affine_small

GRPC: Final = "gRPC, batchproof.v1"
INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
_MODELS: Final = (affine_small, affine_bytes)
_REPEATS_MORE: Final = 3
_MANY: Final = 32
_SETTINGS: Final = {"BATCHPROOF_WEB__ENABLED": "true", "BATCHPROOF_WEB__PORT": "0"}
_DATATYPES: Final = {"float32": "FP32", "uint8": "UINT8"}
_US: Final = 1e6


@dataclass(frozen=True)
class Form:
    """One way to ask for a row.

    Attributes:
        method: of gRPC, or ``HTTP``.
        content: the message; of HTTP the whole request.
    """

    method: str
    content: bytes


def forms(subject: Subject) -> dict[str, Form]:
    """Every form of the subject's message, by the names of the table."""
    own = pb.PredictRequest.FromString(subject.message.read_bytes())
    row = from_proto(own.tensors.tensors["image"])
    model, datatype = subject.bundle.parent.name, _DATATYPES[subject.dtype]
    infer = oip.ModelInferRequest(model_name=model, raw_input_contents=[row.tobytes()])
    infer.inputs.add(name="image", datatype=datatype, shape=row.shape)
    path = f"/v2/models/{model}/infer"
    return {
        GRPC: Form(METHOD, own.SerializeToString()),
        "gRPC, Open Inference": Form(INFER, infer.SerializeToString()),
        "REST, Open Inference, binary": _binary(path, row, datatype),
        "REST, Open Inference, JSON": _http(
            path, _json(inputs=[_input(row, datatype) | {"data": row.ravel().tolist()}])
        ),
        "REST, TensorFlow Serving": _http(
            f"/v1/models/{model}:predict", _json(instances=row.tolist())
        ),
    }


def _binary(path: str, row: Array, datatype: str) -> Form:
    behind = {"parameters": {"binary_data_size": row.nbytes}}
    wanted = {"binary_data_output": True}
    text = _json(inputs=[_input(row, datatype) | behind], parameters=wanted)
    length = f"Inference-Header-Content-Length: {len(text)}\r\n"
    return _http(path, text + row.tobytes(), length)


def _input(row: Array, datatype: str) -> dict[str, object]:
    return {"name": "image", "datatype": datatype, "shape": list(row.shape)}


def _json(**members: object) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _http(path: str, body: bytes, headers: str = "") -> Form:
    head = f"POST {path} HTTP/1.1\r\nHost: [::1]\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return Form(HTTP, head.encode() + body)


def run(bench: Bench) -> Outcome:
    """Measures a model that costs next to nothing, with two sizes of row."""
    rows: list[tuple[Cell, ...]] = []
    for make in bench.steps("(j) row", _MODELS):
        subject = make()
        with served(subject, _SETTINGS) as server:
            rows += _compared(bench, server, subject)
    table = Table("Latency at concurrency 1, and requests/s at 32", _COLUMNS, tuple(rows))
    return Outcome(
        title="REST, beside gRPC",
        how="One row in a request, closed loop, a model that costs next to nothing. Every caller "
        "of REST has a connection of its own, which it keeps; those of gRPC share one. Requests "
        "are made beforehand and answers are not read, so that JSON costs the server alone. "
        "Latency holds the client's own time, which is more for gRPC than for REST, so a form may "
        "add less than nothing; the processor time is the server's alone. Added and the ratio are "
        "medians of the differences and ratios to batchproof.v1 over gRPC side by side.",
        tables=(table,),
    )


_COLUMNS: Final = (
    "row",
    "form",
    "bytes",
    "c = 1: p50, ms",
    "p99, ms",
    "added, ms",
    "c = 32: requests/s",
    "ratio",
    "processor, us a request",
)


def _compared(bench: Bench, server: Server, subject: Subject) -> list[tuple[Cell, ...]]:
    asked = forms(subject)
    files = {name: _written(subject, number, asked[name]) for number, name in enumerate(asked)}

    def asking(concurrency: int) -> Callable[[str], Figures]:
        return lambda name: _one(bench, server, asked[name], files[name], concurrency)

    lone = interleaved(tuple(asked), bench.repeats + _REPEATS_MORE, asking(1))
    many = interleaved(tuple(asked), bench.repeats, asking(_MANY))
    return [
        (
            subject.label,
            name,
            len(asked[name].content),
            medians(lone[name])["p50_ms"],
            medians(lone[name])["p99_ms"],
            None if name == GRPC else difference(lone[name], lone[GRPC], "p50_ms"),
            medians(many[name])["requests_per_s"],
            ratio(many[name], many[GRPC], "requests_per_s"),
            medians(many[name])["processor_us"],
        )
        for name in asked
    ]


def _written(subject: Subject, number: int, form: Form) -> Path:
    file = KEPT / f"{subject.bundle.parent.name}-form-{number}.bin"
    file.write_bytes(form.content)
    return file


def _one(bench: Bench, server: Server, form: Form, file: Path, concurrency: int) -> Figures:
    address = server.web if form.method == HTTP else server.grpc
    used_s = server.cpu_s(engine=False)
    figures = closed_loop(address, file, concurrency, bench.seconds, form.method)
    if figures["errors"]:
        raise RuntimeError(f"{figures['errors']:g} requests failed, expected none: {file.name}")
    used_us = (server.cpu_s(engine=False) - used_s) * _US
    return {**figures, "processor_us": used_us / figures["requests"]}
