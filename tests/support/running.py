"""A server of our own composition in this process, behind a real port."""

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from grpc import aio

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.application.ports import drain_ports
from batchproof_server.application.server import Server, compose
from batchproof_server.backends.affine import kind as affine
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.models.discovery import discover
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.looking import Sources, look_at
from batchproof_server.observing.logs import LogObserver, configure_logs
from batchproof_server.proof.settings import Tell
from support.certificates import SHARED_CERTIFICATES
from support.fakes import GatedBackend, until
from support.fronts import CHOSEN
from support.plugs import load as load_artefact
from support.plugs import scripted

LOCAL = {"server": {"grpc_port": 0, "http_port": 0}}
WARM_UPS = 2
"""Executions of the warm-up: one for each bucket of ``bundles_on_disk``."""
_EVENTS_TOLD = 10
"""What the server logged before a test failed, and is told with the failure."""


@dataclass(eq=False)
class Log:
    """What the server logged, as the stream that it writes to."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def write(self, lines: str, /) -> int:
        """Reads whole lines, as many as came in one call."""
        self.events += map(json.loads, lines.splitlines())
        return len(lines)

    def flush(self) -> None:
        """Has nothing to do."""

    def isatty(self) -> bool:
        """No: nobody reads it as it comes."""
        return False

    def requests(self) -> list[dict[str, Any]]:
        """The finished requests, in order."""
        return [event for event in self.events if event["event"] == "request finished"]

    def codes(self) -> list[str]:
        """How they ended."""
        return [event["code"] for event in self.requests()]

    def unforeseen(self) -> list[dict[str, Any]]:
        """Failures that nobody foresaw."""
        return [event for event in self.events if event["event"] == "unforeseen failure"]

    async def ends(self, *request_ids: str) -> list[str]:
        """Returns how these requests ended when each of them has, which is sure to be once."""

        def codes() -> list[str]:
            return [each["code"] for each in self.requests() if each["request_id"] in request_ids]

        await until(lambda: len(codes()) >= len(request_ids))
        assert len(codes()) == len(request_ids)
        return codes()

    async def ended(self, count: int) -> list[str]:
        """Returns the codes when ``count`` requests have ended, which is sure to be exact."""
        await until(lambda: len(self.requests()) >= count)
        assert len(self.requests()) == count
        return self.codes()


@dataclass
class Running:
    """A server that listens, a channel to it, and where its web port is, if it has one."""

    server: Server
    address: str
    channel: aio.Channel
    log: Log
    addresses: Mapping[str, str]

    @property
    def web(self) -> str:
        """Where REST is; empty where it is off."""
        return self.addresses.get("web", "")

    @property
    def stub(self) -> Any:
        """The service, as asynchronous callables."""
        return pb_grpc.PredictionServiceStub(self.channel)

    def waiting_rows(self, model: str) -> int:
        """Rows in a model's queue."""
        served = {each.name: each for each in self.server.core.versions.loaded()}
        return served[model].batcher._queue.waiting_rows


@asynccontextmanager
async def running(
    path: Path,
    config: Config | None = None,
    *,
    gated: Mapping[str, GatedBackend] | None = None,
    others: Mapping[str, Backend] | None = None,
    load: bool = True,
) -> AsyncIterator[Running]:
    """Serves what lies at ``path``.

    Args:
        path: a bundle or a repository.
        config: its ports are replaced by free ones.
        gated: models whose backend the test opens itself; their warm-up is let through.
        others: models whose backend the test has made.
        load: whether to load before the test begins.
    """
    config = config or Config()
    ports = replace(config.server, grpc_port=0, http_port=0)
    has_web = config.web.enabled or CHOSEN.has_web
    config = replace(config, web=replace(config.web, port=0, enabled=has_web))
    # A backend that the test has made need not be what was proven before under its name.
    if not (others or config.proof.certificate_directory):
        shared = os.environ[SHARED_CERTIFICATES]
        config = replace(config, proof=replace(config.proof, certificate_directory=shared))
    log = Log()
    logger = configure_logs("info", "json", log)

    def plugs(config: Config, tell: Tell) -> LoadingPlugs:
        real = loading_plugs(config, tell)
        kinds, engines = _plugs(gated or {}, others or {})
        # Where there are gates the test opens each execution by itself.
        prove = None if gated else real.prove
        return replace(real, kinds=kinds, engines=engines, prove=prove)

    server = compose(
        replace(config, server=ports),
        discover(path),
        LogObserver(logger),
        plugs=plugs,
        make_front=CHOSEN.make,
        reread=lambda: Sources(partial(look_at, path), config.repository, config.version_labels),
    )
    addresses = await server.open()
    try:
        if load:
            await server.load()
        async with aio.insecure_channel(addresses["grpc"]) as channel:
            yield Running(server, addresses["grpc"], channel, log, addresses)
    except Exception as fault:
        fault.add_note(
            f"the server logged last: {json.dumps(log.events[-_EVENTS_TOLD:], indent=1)}"
        )
        raise
    finally:
        for backend in (gated or {}).values():
            backend.release_all()
        await drain_ports(server.ports, 0)
        server.close()


def _plugs(
    gated: Mapping[str, GatedBackend], others: Mapping[str, Backend]
) -> tuple[tuple[ArtefactKind, ...], tuple[Engine, ...]]:
    def load(artefact: Path, buckets_rows: tuple[int, ...], settings: EngineSettings) -> Backend:
        name = artefact.parent.parent.name
        backend = gated.get(name)
        if name in others:
            return others[name]
        if backend is None:
            return load_artefact(affine.KIND, artefact, buckets_rows, settings)
        backend.release(WARM_UPS)
        return backend

    return scripted(load)


def tensors(array: Any, name: str = "image", dtype: str = "float32") -> pb.NamedTensors:
    """One input tensor as a message."""
    return pb.NamedTensors(tensors={name: to_proto(np.asarray(array, dtype))})


def request(
    array: Any = ((1, 2, 3, 4),), *, request_id: str = "", model: str = "", **options: Any
) -> pb.PredictRequest:
    """A request of tensors for the affine bundles."""
    return pb.PredictRequest(
        request_id=request_id,
        model=pb.ModelSelector(name=model),
        tensors=tensors(array),
        options=pb.PredictOptions(**options),
    )


def gated_request(
    value: float = 1.0, *, request_id: str = "", model: str = "slow", rows: int = 1
) -> pb.PredictRequest:
    """A request for a gated backend."""
    return pb.PredictRequest(
        request_id=request_id,
        model=pb.ModelSelector(name=model),
        tensors=tensors(np.full((rows, 1), value), "x", "float64"),
    )


async def comes(condition: Callable[[], bool], call: Any) -> bool:
    """Whether a condition comes true before a call ends, as it does when its deadline passes."""
    await until(lambda: condition() or call.done())
    return not call.done()


async def failure(call: Any) -> aio.AioRpcError:
    """The error that a call ends with."""
    try:
        await call
    except aio.AioRpcError as error:
        return error
    raise AssertionError("the call succeeded")


async def refused(serving: Running, asked: pb.PredictRequest) -> aio.AioRpcError:
    """The error that a prediction ends with."""
    return await failure(serving.stub.Predict(asked))


def trailer(error: aio.AioRpcError) -> dict[str, Any]:
    """The trailing metadata of an error."""
    return dict(tuple(error.trailing_metadata()))  # as pairs: an old one is no mapping
