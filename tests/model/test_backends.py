"""The real backends keep the contract that every backend has."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchproof_server.backends.affine import kind as affine
from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.keras import kind as keras
from batchproof_server.backends.numpy import engine as numpy
from batchproof_server.backends.openvino import engine as openvino
from batchproof_server.backends.saved_model import kind as saved_model
from batchproof_server.backends.tensorflow import engine as tensorflow
from batchproof_server.base.backend import Backend
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
from support.plugs import load


def save_affine(directory: Path) -> Path:
    content: dict[str, Any] = {"input_shape": [5, 4, 3], "input_dtype": "uint8", "classes": 10}
    artefact = directory / "affine.json"
    artefact.write_text(json.dumps({**content, "scale": 0.3, "offset": -1.1}))
    return artefact


CASES: dict[str, tuple[ArtefactKind, Callable[[Path], Path], Engine]] = {
    "affine": (affine.KIND, save_affine, numpy.ENGINE),
    "keras cnn": (keras.KIND, save_cnn, tensorflow.ENGINE),
    "keras sequential of bytes": (keras.KIND, save_sequential, tensorflow.ENGINE),
    "keras two inputs and outputs": (keras.KIND, save_two_headed, tensorflow.ENGINE),
    "keras nested inputs": (keras.KIND, save_two_headed_nested, tensorflow.ENGINE),
    "keras resizing before batch norm": (keras.KIND, save_any_size, tensorflow.ENGINE),
    "saved model of keras": (saved_model.KIND, save_exported, tensorflow.ENGINE),
    "saved model with a table": (saved_model.KIND, save_table, tensorflow.ENGINE),
    "keras cnn in OpenVINO": (keras.KIND, save_cnn, openvino.ENGINE),
    "keras sequential of bytes in OpenVINO": (keras.KIND, save_sequential, openvino.ENGINE),
    "keras two inputs and outputs in OpenVINO": (keras.KIND, save_two_headed, openvino.ENGINE),
    "keras nested inputs in OpenVINO": (keras.KIND, save_two_headed_nested, openvino.ENGINE),
    "saved model of keras in OpenVINO": (saved_model.KIND, save_exported, openvino.ENGINE),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Backend]:
    kind, save, engine = CASES[request.param]
    artefact = save(tmp_path_factory.mktemp("artefact"))
    return lambda: load(kind, artefact, BUCKETS_ROWS, engines=(engine,))


@pytest.fixture(scope="module")
def backend(fresh: Callable[[], Backend]) -> Iterator[Backend]:
    loaded = fresh()
    yield loaded
    loaded.close()


class TestEveryBackend(BackendContract):
    """Runs the contract for every case."""
