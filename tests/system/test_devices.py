"""Device processes of a real server: what the front holds, losses under load, and the end."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from system.bundles import EMBEDDED, SAMPLES
from system.conftest import Serve
from system.device_children import device_of, devices_of
from system.process import NOT_SERVING, PATIENCE_S, Record, ServerProcess, started, until
from system.traffic import ask, connected, images

CLIENTS = 12
ENGINE_LIBRARIES = ("tensorflow", "openvino", "keras", "h5py")
PICTURE = next(path for path in sorted(SAMPLES.rglob("*")) if path.is_file()).read_bytes()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """The embedded model in a process of its own; it soon gives up what hangs.

    Nobody waits for a self-check, so one that happened to hang would fail no request.
    """
    variables = {
        "BATCHPROOF_DEVICES__KIND": "process",
        "BATCHPROOF_EXECUTION__MAX_EXECUTION_S": "3",
        "BATCHPROOF_SELF_CHECK__SHARE": "0",
    }
    with started(EMBEDDED, variables=variables) as server:
        yield server.wait_serving()


@dataclass
class Codes:
    """How many of the answers had which code."""

    of: Counter[str] = field(default_factory=Counter)
    is_over: bool = False


def test_the_front_never_maps_an_engine(server: ServerProcess) -> None:
    assert not _mapped(server.process.pid, ENGINE_LIBRARIES)
    assert _mapped(device_of(server).pid, ENGINE_LIBRARIES)


def test_the_front_maps_neither_an_engine_nor_a_decoder_when_tensorflow_decodes(
    serve: Serve, tmp_path: Path
) -> None:
    models = shutil.copytree(EMBEDDED, tmp_path / "models")
    bundle = models / "fashion-mnist" / "1"
    (bundle / "profile.json").unlink()  # of the other recipe
    manifest = (bundle / "batchproof.toml").read_text()
    (bundle / "batchproof.toml").write_text(
        manifest.replace("[recipe]", '[recipe]\ndecoder = "tensorflow-fast"').replace(
            'library = "pillow"', 'library = "tensorflow"'
        )
    )
    other = serve(models, variables={"BATCHPROOF_DEVICES__KIND": "process"}).wait_serving()
    codes = asyncio.run(_codes_of_some(other))
    assert set(codes.of) == {"OK"}
    assert not _mapped(other.process.pid, (*ENGINE_LIBRARIES, "numba", "simplejpeg"))
    assert _mapped(device_of(other).pid, ("tensorflow",))
    assert other.metrics().of("batchproof_decode_seconds_count", format="png") == codes.of["OK"]


def test_the_front_never_maps_what_only_keys_and_certificates_need(server: ServerProcess) -> None:
    assert not _mapped(server.process.pid, ("cryptography",))


async def test_a_kill_fails_only_what_was_in_flight_and_service_comes_back(
    server: ServerProcess,
) -> None:
    codes = await _while_asking(server, lambda: device_of(server).kill())
    assert set(codes.of) <= {"OK", "UNAVAILABLE"}
    assert 0 < codes.of["UNAVAILABLE"] <= CLIENTS
    assert server.records("device lost")[-1]["reason"] == "crashed"
    restarts = server.metrics().of(
        "batchproof_device_restarts_total", model="fashion-mnist", version="1", reason="crashed"
    )
    assert restarts >= 1


async def test_a_device_that_hangs_is_ended_and_service_comes_back(server: ServerProcess) -> None:
    codes = await _while_asking(server, lambda: device_of(server).suspend())
    assert set(codes.of) <= {"OK", "UNAVAILABLE", "INTERNAL"}
    assert 0 < codes.of["INTERNAL"] <= CLIENTS
    assert server.records("device lost")[-1]["reason"] == "hung"


async def test_a_version_whose_devices_are_killed_again_and_again_under_load_fails_and_says_why(
    server: ServerProcess, serve: Serve
) -> None:
    variables = dict(psutil.Process(server.process.pid).environ())
    variables["BATCHPROOF_DEVICES__MAX_LOSSES"] = "3"
    other = serve(EMBEDDED, variables=variables).wait_serving()
    codes = Codes()
    clients = [asyncio.create_task(_ask_through(other, codes)) for _ in range(CLIENTS)]
    await _eventually(lambda: codes.of["OK"] >= CLIENTS)
    await _eventually(lambda: _kill_devices(other) and bool(_failed(other)))
    await _eventually(lambda: codes.of["FAILED_PRECONDITION"] >= CLIENTS)
    codes.is_over = True
    await asyncio.gather(*clients)
    assert set(codes.of) == {"OK", "UNAVAILABLE", "FAILED_PRECONDITION"}
    (failed,) = _failed(other)
    assert "its device was lost, or did not start, 3 times in a row" in failed["findings"][0]
    assert len(other.records("device lost")) >= 3
    assert (other.health(), other.health("fashion-mnist")) == (NOT_SERVING, NOT_SERVING)
    version = {"model": "fashion-mnist", "version": "1"}
    metrics = other.metrics()
    for name, expected in {
        "devices_given_up_total": 1,
        "model_failed": 1,
        "model_ready": 0,
    }.items():
        assert metrics.of(f"batchproof_{name}", **version) == expected
    assert other.get("/livez")[0] == 200
    until("no device is left", lambda: not devices_of(other))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_device_outlives_its_server(server: ServerProcess, number: int, tmp_path: Path) -> None:
    variables = dict(psutil.Process(server.process.pid).environ())
    with started(EMBEDDED, variables={**variables, "TMPDIR": str(tmp_path)}) as other:
        other.wait_serving()
        device = device_of(other)
        os.kill(other.process.pid, number)
        until("the device is gone", lambda: not device.is_running())
        other.wait_exit()


def test_signals_to_the_whole_group_are_for_the_front_alone(server: ServerProcess) -> None:
    device = device_of(server)
    for number in (signal.SIGINT, signal.SIGTERM):
        device.send_signal(number)
    assert server.get("/readyz")[0] == 200
    assert device.is_running()


async def _codes_of_some(server: ServerProcess) -> Codes:
    """The codes of some pictures."""
    codes = Codes()
    async with connected(server.grpc) as stub:
        outcomes = await asyncio.gather(*(ask(stub, images([PICTURE])) for _ in range(CLIENTS)))
    codes.of.update(outcome.code for outcome in outcomes)
    return codes


async def _while_asking(server: ServerProcess, act: Callable[[], Any]) -> Codes:
    """The codes of clients that ask on and on, from before the act until the device is back."""
    codes, backs = Codes(), len(server.records("device back"))
    clients = [asyncio.create_task(_ask_on(server, codes)) for _ in range(CLIENTS)]
    await _eventually(lambda: codes.of["OK"] >= CLIENTS)
    act()
    await _eventually(lambda: len(server.records("device back")) > backs)
    answered = codes.of["OK"]
    await _eventually(lambda: codes.of["OK"] >= answered + CLIENTS)
    codes.is_over = True
    await asyncio.gather(*clients)
    return codes


async def _ask_on(server: ServerProcess, codes: Codes) -> None:
    """Asks until it is over; who is refused goes on when the device is back."""
    backs = len(server.records("device back"))
    async with connected(server.grpc) as stub:
        while not codes.is_over:
            outcome = await ask(stub, images([PICTURE]), timeout_s=PATIENCE_S)
            codes.of[outcome.code] += 1
            if outcome.code != "OK":
                await _eventually(lambda: len(server.records("device back")) > backs)


async def _ask_through(server: ServerProcess, codes: Codes) -> None:
    """Asks until it is over, whatever comes back."""
    async with connected(server.grpc) as stub:
        while not codes.is_over:
            codes.of[(await ask(stub, images([PICTURE]), timeout_s=PATIENCE_S)).code] += 1
            await asyncio.sleep(0.01)


def _kill_devices(server: ServerProcess) -> bool:
    """Ends whatever executes or is about to."""
    for child in devices_of(server):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    return True


def _failed(server: ServerProcess) -> list[Record]:
    return [each for each in server.records("model changed") if each.get("state") == "failed"]


async def _eventually(condition: Callable[[], bool]) -> None:
    """As ``until``, while the clients of this loop go on."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition sets no event
            await asyncio.sleep(0.01)


def _mapped(pid: int, libraries: tuple[str, ...]) -> list[str]:
    """The files of libraries that a process has mapped."""
    mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    paths = {line.split(maxsplit=5)[-1] for line in mapped.splitlines() if "/" in line}
    return [path for path in paths if any(f"/{name}/" in path for name in libraries)]
