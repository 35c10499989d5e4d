"""A model that breaks its promise while it serves is caught, over a real port."""

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.application.config import Config
from batchproof_server.base.signature import Tensors
from batchproof_server.selfcheck.settings import SelfCheckSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import PATIENCE_S, ElementwiseBackend
from support.running import Running, running, tensors

NOTHING = {"identical": 0.0, "different": 0.0, "skipped": 0.0}
METRIC = 'batchproof_selfcheck_total{model="wild",result="%s",version="1"}'


class Wild(ElementwiseBackend):
    """Keeps its promise until ``strength`` is set; then each row gets a little of the others."""

    def __init__(self) -> None:
        super().__init__(1)
        self.strength = 0.0

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes, and mixes."""
        outputs = super().execute(inputs)
        if self.strength == 0:
            return outputs
        return {"y": outputs["y"] + self.strength * inputs["x"].sum()}


def config(share: float = 0.001) -> Config:
    return Config(self_check=SelfCheckSettings(share))


async def counted(serving: Running, selected: int) -> dict[str, float]:
    """What the metrics page says by result, once so many were selected."""
    async with asyncio.timeout(PATIENCE_S):
        while sum((results := await asyncio.to_thread(_results, serving)).values()) < selected:
            pass
    return results


def _results(serving: Running) -> dict[str, float]:
    page = f"http://127.0.0.1:{serving.server.operations.port}/metrics"
    with urllib.request.urlopen(page, timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    results = ("identical", "different", "skipped")
    return {result: float(values[METRIC % result]) for result in results}


async def ask(serving: Running, value: float, request_id: str) -> float:
    request = pb.PredictRequest(
        request_id=request_id, tensors=tensors(np.full((1, 1), value), "x", "float64")
    )
    answer = await serving.stub.Predict(request)
    return float(from_proto(answer.outputs["y"])[0, 0])


def differences(serving: Running) -> list[dict[str, Any]]:
    return [
        event for event in serving.log.events if event["event"] == "self-check found another answer"
    ]


async def test_a_model_that_goes_wild_is_counted_and_logged_with_the_request(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "wild" / "1", RAW)
    backend = Wild()
    async with running(tmp_path, config(), others={"wild": backend}) as serving:
        assert await counted(serving, 0) == NOTHING
        backend.strength = 0.125
        for number in range(3):
            await ask(serving, number + 1, f"request {number}")
        results = await counted(serving, 1)
        [line] = differences(serving)
    assert results == NOTHING | {"different": 1}
    assert (line["request_id"], line["model"], line["level"]) == ("request 0", "wild", "error")
    assert line["greatest_difference"] > 0
    assert not {"inputs", "outputs", "x", "y"} & set(line)


async def test_a_model_that_keeps_its_promise_is_found_identical_again_and_again(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "wild" / "1", RAW)
    async with running(tmp_path, config(share=1.0), others={"wild": Wild()}) as serving:
        for number in range(8):
            assert await ask(serving, number, f"request {number}") == 2 * number + 1
        # The last one waits for others; those that find no room are skipped.
        results = await counted(serving, 7)
        assert results["different"] == 0
        assert results["identical"] >= 1
        assert differences(serving) == []


async def test_a_share_of_0_switches_it_off(tmp_path: Path) -> None:
    write_bundle(tmp_path / "wild" / "1", RAW)
    backend = Wild()
    async with running(tmp_path, config(share=0), others={"wild": backend}) as serving:
        backend.strength = 1.0
        executions = len(backend.shapes)
        for number in range(4):
            await ask(serving, number, f"request {number}")
        assert len(backend.shapes) == executions + 4
        assert await counted(serving, 0) == NOTHING
