"""The processes in which a server executes its models."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from system.process import ServerProcess, until


def device_of(server: ServerProcess) -> psutil.Process:
    """The only one; waits for it."""

    def only() -> psutil.Process | None:
        devices = devices_of(server)
        return devices[0] if len(devices) == 1 else None

    return until("there is one device", only)


def devices_of(server: ServerProcess) -> list[psutil.Process]:
    """The children but the one that reads the lines of engines."""
    children = psutil.Process(server.process.pid).children()
    return [each for each in children if not _reads_engine_lines(each)]


def _reads_engine_lines(process: psutil.Process) -> bool:
    try:
        return any("engine_lines" in word for word in process.cmdline())
    except psutil.Error:  # it ended
        return False


@contextmanager
def held(server: ServerProcess) -> Iterator[None]:
    """The only device executes nothing meanwhile."""
    device = device_of(server)
    device.suspend()
    try:
        yield
    finally:
        device.resume()
