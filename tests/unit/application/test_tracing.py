"""Tracing is put together where it is asked for, and says what is missing."""

import sys

import pytest

from batchproof_server.application.tracing import Tracing, compose_tracing
from batchproof_server.observing.result_counts import SPANS, ResultCounts
from batchproof_server.observing.traces.settings import TracingSettings
from support.fakes import FakeClock


def composed(endpoint: str) -> Tracing:
    log = None  # told of nothing here
    return compose_tracing(TracingSettings(endpoint), "0", FakeClock(), ResultCounts(SPANS), log)  # type: ignore[arg-type]


def test_without_an_endpoint_nothing_is_sampled_and_nothing_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "batchproof_server.observing.traces.outlet", None)

    assert composed("") == Tracing()


def test_without_the_library_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("observer", "outlet", "sampling"):
        monkeypatch.delitem(
            sys.modules, f"batchproof_server.observing.traces.{name}", raising=False
        )
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)

    with pytest.raises(ValueError, match=r'pip install "batchproof\[otel\]"'):
        composed("http://localhost:4317")
