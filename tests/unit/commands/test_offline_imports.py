"""Offline commands know neither the wire nor the metrics."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.bundles_on_disk import PICTURES, picture, write_bundle
from support.patience import PATIENCE_S

PROBE = """
import json, sys
from batchproof_server.__main__ import main
for command in json.loads(sys.argv[1]):
    code = main(command)
    loaded = sorted({name.split(".")[0] for name in sys.modules})
    print("loaded:", json.dumps([command, code, loaded]), file=sys.stderr)
"""
UNWANTED = {"grpc", "grpc_health", "grpc_reflection", "prometheus_client"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    labels = np.arange(120) % 3
    images = np.random.default_rng(1).integers(0, 256, (120, 2, 2, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    (tmp_path / "one.png").write_bytes(picture())
    return write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3), scale=0.02)


def test_no_offline_command_imports_grpc_or_prometheus(bundle: Path) -> None:
    """All in one process, since each would import most of the packages again."""
    data = ["--data", str(bundle.parents[1] / "data.npz")]
    picture_file = str(bundle.parents[1] / "one.png")
    commands = [
        [*words, str(bundle), *more]
        for words, more in (
            (["inspect"], []),
            (["certify"], []),
            (["evaluate"], data),
            (["profile"], data),
            # So few random labels beat no recipe, which would exit with 1.
            (["recipe", "find"], [*data, "--limit", "20"]),
            (["recipe", "show"], [picture_file]),
            (["drift"], data),
            (["tta", "evaluate"], data),
            (["tta", "fit"], [*data, "--policy", "flip"]),
            (["diagnose"], [picture_file]),
        )
    ]
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, ended.stderr
    mark = "loaded: "
    told = [line for line in ended.stderr.splitlines() if line.startswith(mark)]
    assert len(told) == len(commands), ended.stderr
    for line in told:
        command, code, loaded = json.loads(line.removeprefix(mark))
        assert code == 0, ended.stderr
        assert "batchproof_server" in loaded
        assert set(loaded) & UNWANTED == set(), command
