"""Offline commands know neither the wire nor the metrics."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from batchproof_server.__main__ import main
from support.bundles_on_disk import PICTURES, picture, write_bundle
from support.patience import PATIENCE_S

PROBE = """
import sys
from batchproof_server.__main__ import main
code = main(sys.argv[1:])
assert code == 0, code
print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""
UNWANTED = {"grpc", "grpc_health", "grpc_reflection", "prometheus_client"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    labels = np.arange(120) % 3
    images = np.random.default_rng(1).integers(0, 256, (120, 2, 2, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    (tmp_path / "one.png").write_bytes(picture())
    return write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3), scale=0.02)


@pytest.mark.parametrize(
    "command",
    [
        ["inspect"],
        ["certify"],
        ["evaluate"],
        ["profile"],
        ["recipe", "find"],
        ["recipe", "show"],
        ["drift"],
        ["tta", "evaluate"],
        ["tta", "fit"],
        ["diagnose"],
    ],
    ids=" ".join,
)
def test_an_offline_command_imports_neither_grpc_nor_prometheus(
    bundle: Path, command: list[str]
) -> None:
    data = bundle.parents[1] / "data.npz"
    if command == ["drift"]:
        assert main(["profile", str(bundle), "--data", str(data)]) == 0
    more = {
        "certify": [],
        "inspect": [],
        "evaluate": ["--data", str(data)],
        "profile": ["--data", str(data)],
        # So few random labels beat no recipe, which would exit with 1.
        "recipe find": ["--data", str(data), "--limit", "20"],
        "recipe show": [str(data.with_name("one.png"))],
        "drift": ["--data", str(data)],
        "diagnose": [str(data.with_name("one.png"))],
        "tta evaluate": ["--data", str(data)],
        "tta fit": ["--data", str(data), "--policy", "flip"],
    }[" ".join(command)]
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *command, str(bundle), *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, ended.stderr
    loaded = set(ended.stderr.splitlines()[-1].removeprefix("loaded:").split())
    assert "batchproof_server" in loaded
    assert loaded & UNWANTED == set()
