"""The Open Inference Protocol v2 over HTTP, behind the methods of its gRPC service.

The tests of the protocol ask for protobuf messages and get them; here they travel in the form of
REST, JSON and binary tensors behind it, as a client of that form would write them.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from grpc import aio

from batchproof.compat import inference_pb2 as pb
from batchproof_server.web.rest.inference_body import HEADER_LENGTH
from support.rest import Reply, ask

Metadata = tuple[tuple[str, str], ...]

_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,  # as gRPC says of a message that is too large
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_NOT_OFFERED: Final = {
    "RepositoryModelLoad": "repository/models/raw/load",
    "RepositoryModelUnload": "repository/models/raw/unload",
    "SystemSharedMemoryStatus": "systemsharedmemory/status",
    "SystemSharedMemoryRegister": "systemsharedmemory/region/mine/register",
    "SystemSharedMemoryUnregister": "systemsharedmemory/region/mine/unregister",
    "CudaSharedMemoryStatus": "cudasharedmemory/status",
    "CudaSharedMemoryRegister": "cudasharedmemory/region/mine/register",
    "CudaSharedMemoryUnregister": "cudasharedmemory/region/mine/unregister",
    "TraceSetting": "trace/setting",
    "LogSettings": "logging",
}


class OpenInferenceOverHttp:
    """The unary methods of ``inference.GRPCInferenceService``; each call is a task.

    Args:
        web: ``host:port`` of the web port.
    """

    def __init__(self, web: str) -> None:
        self._web = web
        for name, path in _NOT_OFFERED.items():
            setattr(self, name, self._refused(path))

    def ModelInfer(  # noqa: N802 - the protocol's name
        self, request: Any, *, metadata: Metadata = (), timeout: float | None = None
    ) -> "asyncio.Task[Any]":
        """Asks for inference; tensors in raw bytes go behind the JSON, values into it."""
        text, behind = _body(request)
        headers = {**dict(metadata), HEADER_LENGTH: str(len(text))}
        if timeout is not None:
            headers["X-Request-Timeout"] = str(timeout)
        path = f"{_model(request.model_name, request.model_version)}/infer"
        return self._task(path, text + behind, _response, headers)

    def ServerLive(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """Whether it lives."""
        del request
        return self._health("health/live", lambda is_well: pb.ServerLiveResponse(live=is_well))

    def ServerReady(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """Whether it is ready."""
        del request
        return self._health("health/ready", lambda is_well: pb.ServerReadyResponse(ready=is_well))

    def ModelReady(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """Whether a model is."""
        path = f"{_model(request.name, request.version)}/ready"
        return self._health(path, lambda is_well: pb.ModelReadyResponse(ready=is_well))

    def ServerMetadata(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """What the server is."""
        del request
        return self._task("", None, _parsed(pb.ServerMetadataResponse))

    def ModelMetadata(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """What a model is."""
        path = _model(request.name, request.version)
        return self._task(path, None, _parsed(pb.ModelMetadataResponse))

    def ModelConfig(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """How it is served."""
        path = f"{_model(request.name, request.version)}/config"
        return self._task(path, None, _parsed(pb.ModelConfigResponse, "config"))

    def ModelStatistics(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """What it did; of no model what all did."""
        path = f"{_model(request.name, request.version)}/stats" if request.name else "models/stats"
        return self._task(path, None, _parsed(pb.ModelStatisticsResponse))

    def RepositoryIndex(self, request: Any) -> "asyncio.Task[Any]":  # noqa: N802 - see above
        """What there is."""
        read = _parsed(pb.RepositoryIndexResponse, "models")
        return self._task("repository/index", {"ready": request.ready}, read)

    def _refused(self, path: str) -> Callable[[Any], "asyncio.Task[Any]"]:
        return lambda _: self._task(path, {}, _parsed(pb.Unsupported))

    def _health(self, path: str, made: Callable[[bool], Message]) -> "asyncio.Task[Any]":
        async def look() -> Message:
            reply = await ask(self._web, f"/v2/{path}")
            assert reply.status in {200, 503}, reply
            return made(reply.status == 200)

        return asyncio.ensure_future(look())

    def _task(
        self,
        path: str,
        body: Any,
        read: Callable[[Reply], Any],
        headers: Mapping[str, str] | None = None,
    ) -> "asyncio.Task[Any]":
        async def call() -> Any:
            reply = await ask(self._web, f"/v2/{path}".rstrip("/"), body, headers=headers)
            if reply.status != 200:
                raise _error(reply)
            return read(reply)

        return asyncio.ensure_future(call())


def _model(name: str, version: str) -> str:
    return f"models/{name}/versions/{version}" if version else f"models/{name}"


def _error(reply: Reply) -> aio.AioRpcError:
    trailers = {"x-request-id": reply.headers.get("x-request-id", "")}
    if "retry-after" in reply.headers:
        trailers["grpc-retry-pushback-ms"] = str(1000 * int(reply.headers["retry-after"]))
    pairs = cast("Any", tuple(trailers.items()))
    return aio.AioRpcError(_CODES[reply.status], cast("Any", ()), pairs, reply.error)


def _parsed(message: Any, field: str = "") -> Callable[[Reply], Any]:
    """Reads a message, or the one field of it that a body is."""

    def read(reply: Reply) -> Any:
        told = reply.json()
        return ParseDict({field: told} if field else told, message())

    return read


def _body(request: Any) -> tuple[bytes, bytes]:
    raws = list(request.raw_input_contents)
    assert len(raws) in {0, len(request.inputs)}, "there is no such body"
    inputs = [
        _input(tensor, raws[place] if raws else None) for place, tensor in enumerate(request.inputs)
    ]
    body = {
        "id": request.id,
        "parameters": _parameters(request.parameters) | {"binary_data_output": True},
        "inputs": inputs,
    }
    if request.outputs:
        body["outputs"] = [
            {"name": output.name, "parameters": _parameters(output.parameters)}
            for output in request.outputs
        ]
    return json.dumps(body).encode(), b"".join(raws)


def _input(tensor: Any, raw: bytes | None) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "parameters": _parameters(tensor.parameters),
    }
    if raw is not None:
        given["parameters"]["binary_data_size"] = len(raw)
        return given
    fields = tensor.contents.ListFields()
    assert len(fields) == 1, "there is no such body"
    given["data"] = [
        {"b64": _base64(each)} if isinstance(each, bytes) else each for each in fields[0][1]
    ]
    return given


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _parameters(parameters: Any) -> dict[str, Any]:
    """By name; one that holds nothing is not sent."""
    chosen = {name: each.WhichOneof("parameter_choice") for name, each in parameters.items()}
    return {name: getattr(parameters[name], field) for name, field in chosen.items() if field}


def _response(reply: Reply) -> Any:
    length = int(reply.headers[HEADER_LENGTH])
    told = json.loads(reply.body[:length])
    response = pb.ModelInferResponse(
        model_name=told["model_name"], model_version=told["model_version"], id=told["id"]
    )
    for name, value in told["parameters"].items():
        setattr(response.parameters[name], _FIELDS[type(value)], value)
    begin = length
    for output in told["outputs"]:
        response.outputs.add(**{key: output[key] for key in ("name", "datatype", "shape")})
        end = begin + output["parameters"]["binary_data_size"]
        response.raw_output_contents.append(reply.body[begin:end])
        begin = end
    assert begin == len(reply.body)
    return response


_FIELDS: Final[Mapping[type, str]] = {
    bool: "bool_param",
    int: "uint64_param",  # JSON knows one kind of whole number
    float: "double_param",
    str: "string_param",
}
