"""What the system tests share: servers in processes of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from system.bundles import EMBEDDED, write_image_model
from system.process import ServerProcess, started

Serve = Callable[..., ServerProcess]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers; all are gone after the test."""
    with ExitStack() as running:

        def start(path: Path, *flags: str, **options: dict[str, str]) -> ServerProcess:
            return running.enter_context(started(path, *flags, **options))

        yield start


@pytest.fixture(scope="session")
def embedded() -> Iterator[ServerProcess]:
    """The embedded model, SERVING; shared by all tests of a worker."""
    with started(EMBEDDED, "--web-port", "0") as server:
        yield server.wait_serving()


@pytest.fixture(scope="session")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """An affine model "pictures" with the embedded model's recipe; shared as above."""
    path = tmp_path_factory.mktemp("repository")
    write_image_model(path / "pictures" / "1")
    with started(path) as server:
        yield server.wait_serving()
