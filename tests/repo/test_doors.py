"""Each outside package has one door (docs/architecture.md)."""

import ast
from itertools import chain

import pytest
from packaging.requirements import Requirement

from repo.checkout import product_modules, project_table
from repo.doors import (
    DOORS,
    NEEDED_WITHOUT_IMPORT,
    OURS,
    module_name,
    package_of,
    unimported,
    violations,
)


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
        ("batchproof_server.rpc.native.service", "import grpc.aio"),
        ("batchproof_server.rpc.status", "from grpc import StatusCode"),
        ("batchproof_server.rpc.health", "from grpc_health.v1 import health_pb2"),
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
        ("batchproof_server.rpc.fronts.grpc_aio.server", "import grpc.aio"),
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
    assert {package_of(name) for name in _declared()} <= set(DOORS)
    assert not OURS & set(DOORS)


def test_every_runtime_dependency_is_imported() -> None:
    sources = {module_name(path): path.read_text() for path in product_modules()}

    assert unimported(_declared(), sources) == []


def test_a_dependency_that_nobody_imports_is_found() -> None:
    sources = {
        "batchproof_server.rpc.fronts.grpc_aio.server": "import grpc.aio",
        "batchproof_client.client": "",
    }

    assert unimported(["grpcio", "grpcio-reflection", "openvino"], sources) == [
        "grpcio-reflection",
        "openvino",
    ]


def test_what_is_needed_without_an_import_is_declared_and_says_why() -> None:
    assert set(NEEDED_WITHOUT_IMPORT) <= _declared()
    assert all(NEEDED_WITHOUT_IMPORT.values())


def _declared() -> set[str]:
    """The distributions of the bare install and of every extra; ours is none."""
    project = project_table()["project"]
    lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    return {Requirement(line).name for line in lines} - {project["name"]}


# The kernel's own file; it has no size that could be checked.
READS_WITHOUT_A_LIMIT = {"batchproof_server.proof.certificate.machine"}


def test_no_module_of_the_server_reads_a_whole_file_without_a_limit() -> None:
    found = [
        f"{module_name(path)}:{line}"
        for path in product_modules()
        if module_name(path).startswith("batchproof_server")
        for line in lines_that_read_without_a_limit(path.read_text())
        if module_name(path) not in READS_WITHOUT_A_LIMIT
    ]

    assert found == []


def test_a_planted_read_without_a_limit_is_found() -> None:
    source = "text = file.read_text()\nread_text(file, 5)\ncontent = file.read_bytes()"

    assert lines_that_read_without_a_limit(source) == [1, 3]


def lines_that_read_without_a_limit(source: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in {"read_text", "read_bytes"}
    ]
