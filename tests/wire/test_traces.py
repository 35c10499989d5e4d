"""Sampled requests leave spans at a collector, of every part of their way, over every front."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.observing.traces.settings import TracingSettings
from support.bundles_on_disk import LOGITS, PICTURES, RAW, picture, write_bundle
from support.fakes import GatedBackend, until
from support.otlp import Collector, Received, collecting
from support.rest import ask
from support.running import Running, failure, gated_request, request, running

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", "vendor=opaque"))
NOT_SAMPLED = (("traceparent", f"00-{TRACE}-{CALLER}-00"),)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


def traced(collector: Collector, **settings: object) -> Config:
    """A configuration that traces."""
    tracing = TracingSettings(collector.endpoint, share=0.0)
    return Config(tracing=replace(tracing, **settings))  # type: ignore[arg-type] # keys


@asynccontextmanager
async def serving(tmp_path: Path, config: Config) -> AsyncIterator[Running]:
    """A model of tensors and one of pictures; at the end all spans have left."""
    write_bundle(tmp_path / "logits" / "1", LOGITS)
    write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(2, 2, 3))
    async with running(tmp_path, config) as started:
        yield started


def parts_of(collector: Collector, parent: Received) -> list[str]:
    """The names of the spans below one, by their start."""
    below = [each for each in collector.spans if each.parent == parent.span]
    return [each.name for each in sorted(below, key=lambda each: each.start_ns)]


async def test_the_spans_of_a_picture_are_those_of_its_way_in_the_trace_of_its_caller(
    tmp_path: Path, collector: Collector
) -> None:
    async with serving(tmp_path, traced(collector)) as started:
        asked = pb.PredictRequest(
            request_id="mine",
            model=pb.ModelSelector(name="pictures"),
            images=pb.EncodedImages(contents=[picture()]),
        )
        await started.stub.Predict(asked, metadata=SAMPLED)
        await started.log.ended(1)

    root = collector.one("Predict")
    assert (root.trace, root.parent, root.trace_state) == (TRACE, CALLER, "vendor=opaque")
    assert parts_of(collector, root) == ["intake", "decode", "queue", "execution", "encode"]
    assert {each.trace for each in collector.spans if each.name != "micro-batch"} == {TRACE}
    for each in collector.spans:
        assert root.start_ns <= each.start_ns <= each.end_ns
    assert root.attributes["batchproof.request_id"] == "mine"
    assert root.attributes["rpc.response.status_code"] == "OK"
    assert root.resource["service.name"] == "batchproof"
    assert started.log.requests()[0]["trace_id"] == TRACE


async def test_a_micro_batch_links_to_its_requests_and_their_executions_name_it(
    tmp_path: Path, collector: Collector
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    gate = GatedBackend(1)
    async with running(tmp_path, traced(collector), gated={"slow": gate}) as started:
        calls = [started.stub.Predict(gated_request(), metadata=SAMPLED) for _ in range(1)]
        await gate.entered(3)
        calls += [started.stub.Predict(gated_request(float(n)), metadata=SAMPLED) for n in range(2)]
        calls.append(started.stub.Predict(gated_request(7.0), metadata=NOT_SAMPLED))
        await until(lambda: started.waiting_rows("slow") == 3)
        gate.release(10)
        await asyncio.gather(*calls)
        await started.log.ended(4)

    batches = [each for each in collector.named("micro-batch") if len(each.links) == 2]
    (batch,) = batches
    roots = {each.place for each in collector.named("Predict")}
    assert set(batch.links) < roots
    assert len(roots) == 3
    assert batch.attributes["batchproof.rows"] == 3
    assert batch.trace != TRACE
    named = [each for each in collector.named("execution") if each.links == [batch.place]]
    assert {(TRACE, each.parent) for each in named} == set(batch.links)
    assert {each.attributes["batchproof.micro_batch.span_id"] for each in named} == {batch.span}


async def test_what_a_caller_does_not_sample_leaves_nothing_unless_the_share_decides(
    tmp_path: Path, collector: Collector
) -> None:
    async with serving(tmp_path, traced(collector, share=1.0)) as started:
        await started.stub.Predict(request(model="logits"), metadata=NOT_SAMPLED)
        await started.log.ended(1)
        assert "trace_id" not in started.log.requests()[0]

    assert collector.spans == []


async def test_by_its_share_a_request_without_a_trace_begins_one(
    tmp_path: Path, collector: Collector
) -> None:
    async with serving(tmp_path, traced(collector, share=1.0)) as started:
        await started.stub.Predict(request(model="logits"))
        await started.log.ended(1)

    root = collector.one("Predict")
    assert root.parent == ""
    assert parts_of(collector, root) == ["intake", "queue", "execution", "encode"]
    assert started.log.requests()[0]["trace_id"] == root.trace


async def test_a_refused_request_has_a_span_that_says_why(
    tmp_path: Path, collector: Collector
) -> None:
    async with serving(tmp_path, traced(collector)) as started:
        await failure(started.stub.Predict(request(model="other"), metadata=SAMPLED))
        await started.log.ended(1)

    root = collector.one("Predict")
    assert parts_of(collector, root) == []
    assert root.attributes["error.type"] == "NOT_FOUND"
    assert not root.is_error  # the caller's mistake, in OpenTelemetry's conventions


async def test_the_latency_has_an_exemplar_with_the_trace_where_openmetrics_is_asked_for(
    tmp_path: Path, collector: Collector
) -> None:
    async with serving(tmp_path, traced(collector)) as started:
        await started.stub.Predict(request(model="logits"), metadata=SAMPLED)
        await started.log.ended(1)
        exposition = started.server.operations._pages.exposition
        plain, _ = exposition("")
        open_metrics, _ = exposition("application/openmetrics-text")

    assert TRACE.encode() not in plain
    (line,) = [line for line in open_metrics.decode().splitlines() if TRACE in line]
    assert line.startswith("batchproof_request_duration_seconds_bucket")
    assert f'# {{trace_id="{TRACE}"}}' in line


@pytest.mark.only_grpc
async def test_a_request_over_http_brings_its_trace_in_headers(
    tmp_path: Path, collector: Collector
) -> None:
    config = traced(collector)
    config = replace(config, web=replace(config.web, enabled=True))
    async with serving(tmp_path, config) as started:
        body = {"inputs": [{"name": "image", "shape": [1, 4], "datatype": "FP32", "data": [1] * 4}]}
        reply = await ask(started.web, "/v2/models/logits/infer", body, headers=dict(SAMPLED))
        assert reply.status == 200, reply.body
        await started.log.ended(1)

    root = collector.one("rest.inference.ModelInfer")
    assert (root.trace, root.parent) == (TRACE, CALLER)
    assert parts_of(collector, root) == ["intake", "queue", "execution", "encode"]


@pytest.mark.parametrize("fault", ["away", "hangs"])
async def test_a_collector_that_does_not_answer_holds_nobody_up_and_is_told_once(
    tmp_path: Path, fault: str
) -> None:
    told = "traces not exported"
    with ExitStack() as listening:
        gone = listening.enter_context(collecting(answers=False))
        if fault == "away":
            listening.close()
        config = traced(gone, timeout_s=0.5, max_queued_spans=8)
        async with serving(tmp_path, config) as started:
            for _ in range(20):
                await started.stub.Predict(request(model="logits"), metadata=SAMPLED)
            await started.log.ended(20)
            await until(lambda: any(each["event"] == told for each in started.log.events))

    assert started.log.codes() == ["OK"] * 20
    (line,) = [each for each in started.log.events if each["event"] == told]
    assert line["endpoint"] == gone.endpoint
    text = started.server.operations._pages.exposition("")[0].decode()
    lost = dict(re.findall(r'batchproof_trace_spans_total\{result="(\w+)"\} ([\d.]+)', text))
    assert float(lost["exported"]) == 0
    assert float(lost["queue_full"]) > 0
    assert float(lost["failed"]) + float(lost["queue_full"]) == 120  # six spans each
    assert [each for each in started.log.events if each.get("library")] == []
