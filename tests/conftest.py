"""What every test shares: how hard Hypothesis searches, certificates, and that Ctrl-C is heard."""

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from batchproof_server.commands.ending import OF_MODELS
from batchproof_server.rpc.fronts.polling import read_on_the_queue
from support.certificates import SHARED_CERTIFICATES
from support.distribution import longest_first
from support.patience import PATIENCE_S

# Servers in the tests read their connections as those of `serve` do. No test has imported gRPC yet.
read_on_the_queue()

# Deadlines off, and slow data is no fault: the machine's speed is not the contract. In CI the
# examples are derived from the test itself, so that the same commit always meets the same verdict.
settings.register_profile(
    "house",
    deadline=None,
    max_examples=100,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("house"), max_examples=2_000)
# Of `make test-long`, which is another search every time.
settings.register_profile(
    "long", settings.get_profile("house"), max_examples=2_000, derandomize=False
)
# Of a round of `make fuzz`, which should not take much longer than it was told to.
settings.register_profile("round", settings.get_profile("long"), max_examples=500)
# For the few tests that ask for it: @settings(settings.get_profile("fuzz"))
settings.register_profile("fuzz", settings.get_profile("ci" if "CI" in os.environ else "house"))
settings.load_profile("house")

# What a shell starts in the background ignores Ctrl-C, and so does all that is started by that.
_IS_DEAF = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
if _IS_DEAF and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Leave the bytes out of a test's name, which is their parameter's with a number.

    The workers of one run collect the tests each for itself and must find the same names, and
    bytes are often not the same twice: gzip writes the time of day into its header.
    """
    return argname if isinstance(val, bytes | bytearray) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the workers of one run begin with the long files; one process keeps the random order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        longest_first(items, Path(__file__).parent)


# A thread that hangs is there for the tests that come after it, which may count or end threads.
@pytest.fixture(scope="module", autouse=True)
def no_thread_of_a_model_stays() -> Iterator[None]:
    """What a module makes hang, it lets go on before it ends."""
    before = {*threading.enumerate()}
    yield
    begun = [each for each in threading.enumerate() if each not in before]
    of_models = [each for each in begun if each.name.startswith(OF_MODELS)]
    if of_models:
        gc.collect()  # the idle thread of a pool ends with the pool, which may be in a cycle
    for thread in of_models:
        thread.join(PATIENCE_S)
    assert [thread.name for thread in of_models if thread.is_alive()] == []


@pytest.fixture(scope="session", autouse=True)
def shared_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The folder in which the servers of all workers keep their certificates."""
    folder = tmp_path_factory.getbasetemp()
    of_all = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    os.environ[SHARED_CERTIFICATES] = str(of_all / "certificates")
    yield
    del os.environ[SHARED_CERTIFICATES]
