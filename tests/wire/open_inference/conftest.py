"""One suite for every form of the Open Inference Protocol: each front of gRPC, and HTTP."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from batchproof_server.rpc.fronts.front import MakeFront
from support.compat_requests import open_inference
from support.fronts import CHOSEN, FRONTS
from support.over_http import OpenInferenceOverHttp
from support.running import Running

HTTP: Final = "http"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs in every form, but what has none over HTTP: streams, and reflection."""
    is_only_grpc = metafunc.definition.get_closest_marker("only_grpc") is not None
    forms = [*FRONTS] if is_only_grpc else [*FRONTS, HTTP]
    metafunc.parametrize("make_front", forms, indirect=True)


@pytest.fixture(autouse=True)
def make_front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeFront:
    """The front of the servers of the test; over HTTP they have a web port, too."""
    monkeypatch.setattr(CHOSEN, "make", FRONTS.get(request.param, CHOSEN.make))
    monkeypatch.setattr(CHOSEN, "has_web", request.param == HTTP)
    return CHOSEN.make


@pytest.fixture
def service() -> Callable[[Running], Any]:
    """The methods of a server's ``GRPCInferenceService``, in the form of the test."""
    return service_of


def service_of(serving: Running) -> Any:
    """Over HTTP where the test runs over it."""
    if CHOSEN.has_web:
        return OpenInferenceOverHttp(serving.web)
    return open_inference(serving.channel)


@pytest.fixture
def stub(serving: Running) -> Any:
    """The service of the server with one model of each kind."""
    return service_of(serving)


@pytest.fixture
def only_messages() -> Callable[[bool], None]:
    """Skips what only a message can say where the test runs over HTTP."""

    def skip(is_so: bool) -> None:  # noqa: FBT001 - what it skips on
        if is_so and CHOSEN.has_web:
            pytest.skip("a body of HTTP cannot say this")

    return skip
