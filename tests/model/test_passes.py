"""A real engine in passes keeps the contract that every backend has, and changes no bit."""

from collections.abc import Callable, Iterator

import pytest

from batchproof_server.backends.keras import kind as keras
from batchproof_server.backends.openvino import engine as openvino
from batchproof_server.base.backend import Backend
from batchproof_server.models.passes import BackendInPasses
from support.backend_contract import BUCKETS_ROWS, BackendContract, random_rows, same_bits
from support.model_fixtures import save_cnn
from support.plugs import load


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    artefact = save_cnn(tmp_path_factory.mktemp("artefact"))
    return load(keras.KIND, artefact, BUCKETS_ROWS, engines=(openvino.ENGINE,))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Backend]:
    artefact = save_cnn(tmp_path_factory.mktemp("artefact"))
    return lambda: BackendInPasses(
        load(keras.KIND, artefact, BUCKETS_ROWS, engines=(openvino.ENGINE,)),
        dict.fromkeys(BUCKETS_ROWS, BUCKETS_ROWS[0]),
    )


@pytest.fixture(scope="module")
def backend(fresh: Callable[[], Backend]) -> Iterator[Backend]:
    loaded = fresh()
    yield loaded
    loaded.close()


class TestInPasses(BackendContract):
    """Runs the contract."""


@pytest.mark.parametrize("rows", list(BUCKETS_ROWS))
def test_a_row_has_the_bits_that_it_has_in_its_whole_bucket(
    whole: Backend, backend: Backend, rows: int
) -> None:
    inputs = random_rows(whole, rows, seed=rows)
    assert same_bits(backend.execute(inputs), whole.execute(inputs))
