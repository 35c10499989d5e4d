"""The real backends keep the contract that every backend has."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchproof_server.backends import affine, keras, saved_model
from batchproof_server.base.backend import Backend, BackendLoader, EngineSettings
from support.backend_contract import BUCKETS_ROWS, BackendContract
from support.model_fixtures import (
    save_any_size,
    save_cnn,
    save_exported,
    save_sequential,
    save_table,
    save_two_headed,
    save_two_headed_nested,
)


def save_affine(directory: Path) -> Path:
    content: dict[str, Any] = {"input_shape": [5, 4, 3], "input_dtype": "uint8", "classes": 10}
    artefact = directory / "affine.json"
    artefact.write_text(json.dumps({**content, "scale": 0.3, "offset": -1.1}))
    return artefact


CASES: dict[str, tuple[BackendLoader, Callable[[Path], Path]]] = {
    "affine": (affine.load, save_affine),
    "keras cnn": (keras.load, save_cnn),
    "keras sequential of bytes": (keras.load, save_sequential),
    "keras two inputs and outputs": (keras.load, save_two_headed),
    "keras nested inputs": (keras.load, save_two_headed_nested),
    "keras resizing before batch norm": (keras.load, save_any_size),
    "saved model of keras": (saved_model.load, save_exported),
    "saved model with a table": (saved_model.load, save_table),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Backend]:
    load, save = CASES[request.param]
    artefact = save(tmp_path_factory.mktemp("artefact"))
    return lambda: load(artefact, buckets_rows=BUCKETS_ROWS, settings=EngineSettings())


@pytest.fixture(scope="module")
def backend(fresh: Callable[[], Backend]) -> Iterator[Backend]:
    loaded = fresh()
    yield loaded
    loaded.close()


class TestEveryBackend(BackendContract):
    """Runs the contract for every case."""
