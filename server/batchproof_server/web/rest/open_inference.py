"""The Open Inference Protocol v2 over HTTP, with Triton's additions: JSON and binary tensors."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from batchproof.compat import inference_pb2 as pb
from batchproof_server.web.rest.endpoint import (
    MODEL,
    VERSION,
    Endpoint,
    Read,
    ReadRequest,
    RestAsked,
    Written,
)
from batchproof_server.web.rest.inference_body import json_object, read_infer
from batchproof_server.web.rest.json_text import read_json, write_json
from batchproof_server.web.rest.plain import plain

_SERVICE: Final = "/inference.GRPCInferenceService/"
_GET: Final = ("GET", "HEAD")
_POST: Final = ("POST",)


def open_inference_endpoints() -> tuple[Endpoint, ...]:
    """The paths of the protocol; those of what is not done here say what to do instead."""
    model = rf"/v2{MODEL}{VERSION}"
    refused = {
        "RepositoryModelLoad": rf"/v2/repository{MODEL}/load",
        "RepositoryModelUnload": rf"/v2/repository{MODEL}/unload",
        "SystemSharedMemoryStatus": r"/v2/systemsharedmemory(/region/[^/]+)?/status",
        "SystemSharedMemoryRegister": r"/v2/systemsharedmemory/region/[^/]+/register",
        "SystemSharedMemoryUnregister": r"/v2/systemsharedmemory(/region/[^/]+)?/unregister",
        "CudaSharedMemoryStatus": r"/v2/cudasharedmemory(/region/[^/]+)?/status",
        "CudaSharedMemoryRegister": r"/v2/cudasharedmemory/region/[^/]+/register",
        "CudaSharedMemoryUnregister": r"/v2/cudasharedmemory(/region/[^/]+)?/unregister",
        "TraceSetting": rf"/v2({MODEL})?/trace/setting",
        "LogSettings": r"/v2/logging",
    }
    return (
        _endpoint(
            r"/v2/models/stats",
            _GET,
            "ModelStatistics",
            _read(pb.ModelStatisticsRequest, _written),
        ),
        _endpoint(rf"{model}/infer", _POST, "ModelInfer", read_infer, predicts=True),
        _endpoint(r"/v2/health/live", _GET, "ServerLive", _read(pb.ServerLiveRequest, _live)),
        _endpoint(r"/v2/health/ready", _GET, "ServerReady", _read(pb.ServerReadyRequest, _ready)),
        _endpoint(r"/v2/?", _GET, "ServerMetadata", _read(pb.ServerMetadataRequest, _written)),
        _endpoint(rf"{model}/ready", _GET, "ModelReady", _named(pb.ModelReadyRequest, _ready)),
        _endpoint(model, _GET, "ModelMetadata", _named(pb.ModelMetadataRequest, _written)),
        _endpoint(rf"{model}/config", _GET, "ModelConfig", _named(pb.ModelConfigRequest, _config)),
        _endpoint(
            rf"{model}/stats", _GET, "ModelStatistics", _named(pb.ModelStatisticsRequest, _written)
        ),
        _endpoint(r"/v2/repository/index", _POST, "RepositoryIndex", _read_index),
        *(_endpoint(path, (*_GET, *_POST), name, _unread) for name, path in refused.items()),
    )


def _endpoint(
    path: str, verbs: tuple[str, ...], name: str, read: Read, *, predicts: bool = False
) -> Endpoint:
    return Endpoint(re.compile(path), verbs, _SERVICE + name, read, predicts)


def _read(message: Any, write: Callable[[Any], Written]) -> Read:
    """Of a request that says nothing."""
    return lambda _: ReadRequest(message(), write)


def _named(message: Any, write: Callable[[Any], Written]) -> Read:
    """Of a request that names a model, and perhaps its version."""
    return lambda asked: ReadRequest(
        message(name=asked.words["model"], version=asked.words["version"]), write
    )


def _unread(asked: RestAsked) -> ReadRequest:
    """What the method refuses whatever it is."""
    del asked
    return ReadRequest(None, _written)


def _read_index(asked: RestAsked) -> ReadRequest:
    wanted = json_object(read_json(asked.body), "the body") if asked.body else {}
    return ReadRequest(pb.RepositoryIndexRequest(ready=wanted.get("ready") is True), _index)


def _written(response: Any) -> Written:
    return Written(write_json(plain(response)))


def _config(response: pb.ModelConfigResponse) -> Written:
    return _written(response.config)


def _index(response: pb.RepositoryIndexResponse) -> Written:
    return Written(write_json([plain(each) for each in response.models]))


def _live(response: pb.ServerLiveResponse) -> Written:
    return _nothing(is_well=response.live)


def _ready(response: pb.ServerReadyResponse | pb.ModelReadyResponse) -> Written:
    return _nothing(is_well=response.ready)


def _nothing(*, is_well: bool) -> Written:
    return Written(b"", {}, HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE)
