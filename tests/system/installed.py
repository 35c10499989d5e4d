"""Programs that scripts/install-system-packages brings, in processes of their own."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from system.process import PATIENCE_S, until


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def installed(
    program: str, *arguments: str, folder: Path, answers: Callable[[], bool]
) -> Iterator[None]:
    """A program that runs, and answers, until the end.

    Args:
        program: its name on the ``PATH``.
        arguments: of it.
        folder: for its log.
        answers: whether it answers now.
    """
    binary = shutil.which(program)
    assert binary, f"there is no {program}: run scripts/install-system-packages"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, *arguments], stderr=log)
    try:
        until(f"{program} answers", lambda: process.poll() is not None or answers())
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
