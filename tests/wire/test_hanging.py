"""What hangs is seen, over a real port: while a version is loaded, and while it answers."""

import asyncio
from pathlib import Path

from batchproof_server.application.config import Config
from batchproof_server.devices.settings import ExecutionSettings
from support.bundles_on_disk import RAW, write_bundle
from support.fakes import GatedBackend, until
from support.running import WARM_UPS, failure, gated_request, request, running


async def test_a_version_that_hangs_while_it_is_loaded_fails_and_others_are_loaded(
    tmp_path: Path,
) -> None:
    for name in ("a hangs", "b works"):
        write_bundle(tmp_path / name / "1", RAW)
    hanging = GatedBackend(1)
    config = Config(execution=ExecutionSettings(max_load_step_s=0.5))
    async with running(tmp_path, config, others={"a hangs": hanging}) as serving:
        try:
            refused = await failure(serving.stub.Predict(gated_request(model="a hangs")))
            assert refused.code().name == "FAILED_PRECONDITION"
            assert "no progress within 0.5 s" in str(refused.details())
            await serving.stub.Predict(request(model="b works"))
        finally:
            hanging.release_all()


async def test_a_version_whose_execution_hangs_is_not_ready_until_it_comes_back(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path / "slow" / "1", RAW)
    slow = GatedBackend(1)
    config = Config(execution=ExecutionSettings(max_execution_s=0.5))
    async with running(tmp_path, config, gated={"slow": slow}) as serving:
        health = serving.server.health
        hanging = asyncio.ensure_future(serving.stub.Predict(gated_request()))
        await slow.entered(WARM_UPS + 1)
        assert (await failure(hanging)).code().name == "INTERNAL"
        assert health.state("slow") is False
        refused = await failure(serving.stub.Predict(gated_request()))
        assert refused.code().name == "UNAVAILABLE"
        assert "an execution did not end within 0.5 s" in str(refused.details())
        slow.release()
        await until(lambda: health.state("slow") is True)
        slow.release()
        await serving.stub.Predict(gated_request())
