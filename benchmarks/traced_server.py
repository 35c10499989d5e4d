"""The server with a look at every call of its own functions, for counting what a request takes.

    python benchmarks/traced_server.py serve BUNDLE ...

A line on standard input begins or ends the counting; at its end one JSON list is printed, with
thread, file and function of each call.
"""

import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType

import batchproof
import batchproof_server
from batchproof_server.__main__ import main
from batchproof_server.base.clock import Heartbeat

_HOMES = tuple(str(Path(each.__path__[0])) + os.sep for each in (batchproof, batchproof_server))


# What the server does every second, whether somebody asks it or not.
_BEAT = Heartbeat.start.__code__


class Tracer:
    """Remembers calls while it is on; safe in any thread."""

    def __init__(self) -> None:
        self.is_on = False
        self._calls: list[tuple[str, str, str]] = []

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """The profile function of every thread."""
        del argument
        file = frame.f_code.co_filename
        if self.is_on and event == "call" and file.startswith(_HOMES) and not _is_of_beat(frame):
            place = file.partition("batchproof")[2]
            self._calls.append((threading.current_thread().name, place, frame.f_code.co_qualname))

    def taken(self) -> list[tuple[str, str, str]]:
        """The calls since the last time."""
        calls, self._calls = self._calls, []
        return calls


def _is_of_beat(frame: FrameType) -> bool:
    caller: FrameType | None = frame
    while caller is not None and caller.f_code is not _BEAT:
        caller = caller.f_back
    return caller is not None


def _listen(tracer: Tracer) -> None:
    for _ in sys.stdin:
        tracer.is_on = not tracer.is_on
        if not tracer.is_on:
            print(json.dumps(tracer.taken()), flush=True)


if __name__ == "__main__":
    tracer = Tracer()
    threading.Thread(target=_listen, args=(tracer,), daemon=True).start()
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    sys.exit(main())
