"""What engines write to standard error by themselves is kept apart from our own lines.

TensorFlow's libraries write lines before they read ``TF_CPP_MIN_LOG_LEVEL``, each as often as they
hold the code that does. So what reaches descriptor 2 goes through a small process that leaves out
what that level leaves out. It is a process, since it must outlive this one: the last words of an
abort are read too. It runs this file alone, and knows nothing but the standard library.
"""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO, Final, TextIO

_STDERR: Final = 2
# As the configuration sets it for engines, where the user did not.
_DEFAULT_LEVEL: Final = "2"
_KNOWN_LEVELS: Final = ("0", "1", "2", "3")
_PATIENCE_S: Final = 2.0
_MOST_BYTES: Final = 1 << 16
# absl's "I0000 00:00:1795900270.473746   23175 port.cc:153] text", and TensorFlow's older form.
_ABSL: Final = re.compile(r"([IWEF])\d{4} \d\d:\d\d:[\d.]+ +\d+ \S+:\d+\] ")
_DATED: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+: ([IWEF]) ")
_PREAMBLE: Final = "WARNING: All log messages before absl::InitializeLog() is called are written to"
_LEVELS: Final = {"I": "info", "W": "warning", "E": "error", "F": "critical"}


def level_of(line: str) -> str | None:
    """``I``, ``W``, ``E`` or ``F`` of a line of an engine's log; None of any other line."""
    if line.startswith(_PREAMBLE):
        return "I"
    found = _ABSL.match(line) or _DATED.match(line)
    return found[1] if found else None


def shown(line: str, least: int, *, as_json: bool) -> str | None:
    """What becomes of a line; None when it is left out.

    Args:
        line: without its end.
        least: 0 to 3: what is less is left out, as ``TF_CPP_MIN_LOG_LEVEL`` counts.
        as_json: whether the log is one JSON object a line. What is none yet becomes one.
    """
    level = level_of(line)
    if level is not None and "IWEF".index(level) < least:
        return None
    if not as_json or line.startswith("{") or not line.strip():
        return line
    return json.dumps(
        {
            "library": "engine",
            "event": line,
            "level": _LEVELS[level or "W"],
            "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
    )


@contextmanager
def engine_lines_apart(*, as_json: bool = False) -> Iterator[None]:
    """Lets what is written to descriptor 2 pass only as ``shown`` says, until the context ends.

    ``sys.stderr`` goes on to where descriptor 2 led before, so what we write ourselves meets no
    filter, and ``TF_CPP_MIN_LOG_LEVEL`` says what passes. For a process that
    owns its standard error.
    """
    kept = os.dup(_STDERR)
    command = [sys.executable, "-I", "-S", __file__, "json" if as_json else "plain"]
    # A group of its own: Ctrl-C is for us, and then it still has lines to read.
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)  # noqa: S603 - our own file
    ours = os.fdopen(kept, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    before = _lead(reader, ours)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            ours.flush()
        os.dup2(kept, _STDERR)
        sys.stderr = before
        with suppress(subprocess.TimeoutExpired):  # a child of ours may still hold the pipe
            reader.wait(_PATIENCE_S)
        with suppress(OSError):
            ours.close()


def _lead(reader: "subprocess.Popen[bytes]", ours: TextIO) -> TextIO:
    """Makes the reader's pipe descriptor 2; returns what ``sys.stderr`` was."""
    before = sys.stderr
    with suppress(OSError):
        before.flush()
    pipe = reader.stdin
    if pipe is not None:
        os.dup2(pipe.fileno(), _STDERR)
        pipe.close()
    sys.stderr = ours
    return before


def pass_on(source: BinaryIO, target: BinaryIO, least: int, *, as_json: bool) -> None:
    """Reads lines to their end and writes those that are shown; a long one is cut into several.

    It goes on to read when nobody takes the lines, and drops those that come meanwhile: an engine
    that had to wait for its own lines would answer nobody.
    """
    waiting: queue.Queue[bytes] = queue.Queue(_MOST_LINES)
    writer = threading.Thread(target=_write, args=(waiting, target), daemon=True)
    writer.start()
    patience_s = _PATIENCE_S
    while line := source.readline(_MOST_BYTES):
        text = line.decode(errors="backslashreplace")
        answer = shown(text.rstrip("\r\n"), least, as_json=as_json)
        if answer is not None:
            try:
                waiting.put(answer.encode(errors="backslashreplace") + b"\n", timeout=patience_s)
                patience_s = _PATIENCE_S
            except queue.Full:
                patience_s = 0.0
    with suppress(queue.Full):
        waiting.put(_END, timeout=_PATIENCE_S)
    writer.join(_PATIENCE_S)


def _write(waiting: "queue.Queue[bytes]", target: BinaryIO) -> None:
    while (line := waiting.get()) != _END:
        with suppress(OSError):
            target.write(line)
            target.flush()


_MOST_LINES: Final = 256
_END: Final = b""


if __name__ == "__main__":
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", _DEFAULT_LEVEL)
    pass_on(
        sys.stdin.buffer,
        open(_STDERR, "wb", buffering=0, closefd=False),  # noqa: SIM115 - a descriptor, not ours to close
        int(level) if level in _KNOWN_LEVELS else 0,
        as_json=sys.argv[1] == "json",
    )
