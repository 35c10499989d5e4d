"""Each outside package has one door (docs/architecture.md)."""

import pytest

from repo.checkout import product_modules, project_table
from repo.doors import DOORS, OURS, module_name, violations


def test_every_outside_package_is_used_only_behind_its_door() -> None:
    found = [
        f"{use.module}:{use.line} uses {use.target}"
        for path in product_modules()
        for use in violations(module_name(path), path.read_text())
    ]

    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("batchproof_server.serving.predictor", "import tensorflow as tf"),
        ("batchproof_server.serving.predictor", "from tensorflow.python import keras"),
        ("batchproof_server.serving.predictor", "def late():\n    import tensorflow"),
        (
            "batchproof_server.serving.predictor",
            "import importlib\nimportlib.import_module('tensorflow')",
        ),
        ("batchproof_server.serving.predictor", "import grpc.aio"),
        ("batchproof_server.rpc.native.service", "from prometheus_client import Counter"),
        ("batchproof_server.serving.predictor", "from os import environ"),
        ("batchproof_server.serving.predictor", "import os\nhome = os.environ['HOME']"),
        ("batchproof_server.serving.predictor", "import os as system\nsystem.getenv('HOME')"),
        ("batchproof_server.serving.predictor", "from time import monotonic"),
        ("batchproof_server.batching.microbatch", "import asyncio"),
        ("batchproof_server.imaging.recipe", "from threading import Lock"),
        ("batchproof_server.models.bundle", "from pydantic import BaseModel"),
        ("batchproof_client.client", "import structlog"),
        ("batchproof_client.client", "import a_package_that_nobody_owns"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("batchproof_server.backends.keras", "import tensorflow as tf\ntf.constant(1)"),
        ("batchproof_server.rpc.native.service", "import grpc.aio"),
        ("batchproof_server.application.config", "import os\nhome = os.environ['HOME']"),
        ("batchproof_server.models.bundle", "from pydantic import ConfigDict"),
        ("batchproof_server.serving.predictor", "import os\nos.path.join('a', 'b')"),
        ("batchproof_server.serving.predictor", "time = record.time\ntime.environ"),
        ("batchproof_client.client", "from . import errors"),
        ("batchproof_client.client", "import batchproof.tensors"),
    ],
)
def test_a_door_lets_its_owner_through(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_every_runtime_dependency_has_a_door() -> None:
    project = project_table()["project"]
    server = project["optional-dependencies"]["server"]
    declared = {line.split(">")[0] for line in [*project["dependencies"], *server]}

    assert {_IMPORT_NAMES.get(name, name.replace("-", "_")) for name in declared} <= set(DOORS)
    assert not OURS & set(DOORS)


_IMPORT_NAMES = {
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "pillow": "PIL",
    "protobuf": "google.protobuf",
}
