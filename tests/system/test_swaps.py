"""Versions come and go while callers ask, and nobody notices."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import tensorflow as tf

from support.model_fixtures import save_function
from system.bundles import write_affine
from system.conftest import Serve
from system.process import SERVING, ServerProcess, run_benchmark, until

LATEST = {"BATCHPROOF_REPOSITORY__POLICY": "{ latest = 1 }"}
POLLING = {
    **LATEST,
    "BATCHPROOF_REPOSITORY__POLL_S": "0.1",
    "BATCHPROOF_REPOSITORY__SETTLE_S": "0.1",
}


def states(server: ServerProcess, version: int) -> list[str]:
    """What became of a version, in order."""
    changes = server.records("model changed")
    return [record["state"] for record in changes if record["version"] == version]


def ready_versions(server: ServerProcess) -> set[str]:
    """The versions that answer, as the metrics say."""
    return {
        dict(labels)["version"]
        for (name, labels), value in server.metrics().values.items()
        if name == "batchproof_model_ready" and value
    }


def test_swaps_under_load_fail_nobody_and_mix_nothing() -> None:
    ended = run_benchmark("swaps.py", "--swaps=5", "--requests=800")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "failed 0, wrong or mixed 0, not READY 0\n" in ended.stdout
    (versions,) = re.findall(r"versions that answered (\d+)", ended.stdout)
    assert int(versions) == 6


def test_a_new_version_is_picked_up_and_one_that_is_broken_changes_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    model = tmp_path / "m"
    write_affine(model / "1")
    server = serve(tmp_path, variables=POLLING).wait_serving()
    write_affine(model / "2", scale=3.0)
    until("the old version is gone", lambda: "unloaded" in states(server, 1))
    assert ready_versions(server) == {"2"}
    write_affine(model / "3", manifest="format = 7")
    until("the broken version failed", lambda: "failed" in states(server, 3))
    assert ready_versions(server) == {"2"}
    assert server.health("m") == SERVING
    (model / "3" / "batchproof.toml").unlink()
    until("the mended version answers", lambda: "ready" in states(server, 3))
    shutil.rmtree(model / "3")
    until("the version before is back", lambda: states(server, 2)[-1] == "ready")


def test_a_version_that_fails_its_proof_beside_one_that_serves_is_a_metric_and_stops_nobody(
    serve: Serve, tmp_path: Path
) -> None:
    model = tmp_path / "models" / "m"
    write_affine(model / "1")
    server = serve(model.parent, variables=POLLING).wait_serving()
    spec = tf.TensorSpec((None, 4), tf.float32, name="x")
    saved = save_function(tmp_path, lambda x: {"y": x - tf.reduce_mean(x, axis=0)}, spec)
    saved.rename(model / "2")
    until("the proof failed", lambda: "failed" in states(server, 2))
    failed = [each for each in server.records("model changed") if each["state"] == "failed"]
    assert any("BP" in finding for finding in failed[0]["findings"])
    metrics = server.metrics()
    for version, is_failed in (("1", 0), ("2", 1)):
        labels = {"model": "m", "version": version}
        assert metrics.of("batchproof_model_failed", **labels) == is_failed
        assert metrics.of("batchproof_model_ready", **labels) == 1 - is_failed
    assert server.health("m") == SERVING


def test_a_version_that_is_still_written_is_not_loaded(serve: Serve, tmp_path: Path) -> None:
    write_affine(tmp_path / "m" / "1")
    server = serve(tmp_path, variables=POLLING).wait_serving()
    half = write_affine(tmp_path / "m" / ".2")
    whole = (half / "affine.json").read_text()
    (half / "affine.json.part").write_text(whole[:10])
    half.rename(tmp_path / "m" / "2")
    write_affine(tmp_path / "m" / "3")
    until("a later version answers", lambda: "ready" in states(server, 3))
    assert states(server, 2) == []


def test_sighup_reads_the_configuration_again_and_ends_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    repository, config = tmp_path / "models", tmp_path / "server.toml"
    for version in (1, 2):
        write_affine(repository / "m" / str(version))
    config.write_text("[repository]\nsettle_s = 0.1\npolicy = { latest = 1 }\n")
    server = serve(repository, "--config", str(config)).wait_serving()
    assert ready_versions(server) == {"2"}
    config.write_text("[repository]\nsettle_s = 0.1\npolicy = { specific = [1] }\n")
    server.process.send_signal(signal.SIGHUP)
    until("the other version is gone", lambda: "unloaded" in states(server, 2))
    assert ready_versions(server) == {"1"}
    config.write_text("[repository]\npolicy = { newest = 1 }\n")
    server.process.send_signal(signal.SIGHUP)
    (line,) = until("it is refused", lambda: server.records("repository not read"))
    assert "repository.policy.newest" in line["reason"]
    assert ready_versions(server) == {"1"}
    assert server.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_second_version_loads_ends_in_order(
    serve: Serve, tmp_path: Path, number: signal.Signals
) -> None:
    write_affine(tmp_path / "m" / "1")
    server = serve(tmp_path, variables=POLLING).wait_serving()
    stuck = write_affine(tmp_path / "m" / ".2")
    os.mkfifo(stuck / "labels.txt")
    stuck.rename(tmp_path / "m" / "2")
    until("it is being loaded", lambda: states(server, 2) == ["loading"])
    assert server.health("m") == SERVING
    assert server.stop(number) == 0
    assert not [line for line in server.err if "Traceback" in line]
    assert json.loads(server.err[-1])["event"]
