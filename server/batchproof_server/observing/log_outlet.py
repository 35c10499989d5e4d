"""The way out of the log: a bounded queue of lines, a thread that writes, and counts of the lost.

Whoever reads a log may stall or die, and a disk may be full. A line that waited for them on the
loop's thread would hold up every request, and an error there would end the server.
"""

import os
import queue
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from batchproof_server.observing.result_counts import LOG_LINES, ResultCounts


# Contract: ``write`` never waits and never raises, on any thread. Lines leave in the order in which
# they came, whole or not at all but for the one at which writing failed. Each is counted once. As
# soon as lines are taken again, the first says how many were lost. A finalizer that the garbage
# collector calls may log on any thread and in the middle of anything, so the lock and the queue are
# such as a thread may enter again.
class LogOutlet:
    """Writes lines to a descriptor from a queue of its own, between entering and leaving.

    Args:
        descriptor: gets the lines; it stays open.
        say_lost: makes the line that says how many were lost.

    Attributes:
        counts: what became of the lines.
    """

    def __init__(self, descriptor: int, say_lost: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self.counts = ResultCounts(LOG_LINES)
        self._say_lost = say_lost
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._came_characters = 0
        self._taken_characters = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._said_lost = 0
        self._is_torn = False

    def __enter__(self) -> Self:
        """Begins to write."""
        # Its own: the number of one that was closed may be a connection's when a reader goes on.
        self._descriptor = os.dup(self._descriptor)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Writes what waits, for a short while."""
        self._texts.put(None)
        self._thread.join(_LAST_S)

    def write(self, text: str) -> int:
        """Takes whole lines, or drops them where too much waits."""
        with self._lock:
            waiting_characters = self._came_characters - self._taken_characters
            if waiting_characters and waiting_characters + len(text) > _MOST_CHARACTERS:
                self.counts.add("queue_full", text.count("\n"))
            else:
                self._came_characters += len(text)
                self._texts.put(text)
        return len(text)

    def flush(self) -> None:
        """Nothing: nobody waits for lines."""

    def isatty(self) -> bool:
        """Whether people read the lines as they come."""
        return os.isatty(self._descriptor)

    def _run(self) -> None:
        try:
            while self._write_waiting():
                pass
        finally:
            os.close(self._descriptor)

    def _write_waiting(self) -> bool:
        """Writes what waits, once there is something; whether there may be more."""
        waiting = [self._texts.get()]
        # A server with many callers would wake this thread with every turn of its loop.
        threading.Event().wait(_GATHERED_S)
        with suppress(queue.Empty):
            while True:
                waiting.append(self._texts.get_nowait())
        lines = "".join(text for text in waiting if text is not None)
        self._taken_characters += len(lines)
        self._write_lines(lines.encode("utf-8", "backslashreplace"))
        return None not in waiting

    def _write_lines(self, lines: bytes) -> None:
        lost = self.counts.of("queue_full", "failed")
        first = b"\n" if self._is_torn else b""
        if lost > self._said_lost:
            first += f"{self._say_lost(lost - self._said_lost)}\n".encode("utf-8", "replace")
        content = first + lines
        written_bytes = self._write(content)
        if written_bytes >= len(first) - 1:  # but for the end of its line
            self._said_lost = lost
        if written_bytes:
            self._is_torn = content[written_bytes - 1] != _LINE_END
        written_lines = content.count(b"\n", len(first), max(len(first), written_bytes))
        self.counts.add("written", written_lines)
        self.counts.add("failed", lines.count(b"\n") - written_lines)

    def _write(self, content: bytes) -> int:
        """Waits until everything is written, or nothing more is taken; how many bytes were."""
        left = memoryview(content)
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # somebody who shares the descriptor made it so
                    room = select.poll()
                    room.register(self._descriptor, select.POLLOUT)
                    room.poll()
        except OSError:
            pass
        return len(content) - len(left)


_MOST_CHARACTERS: Final = 1 << 20  # some 4,000 lines
_GATHERED_S: Final = 0.01
_LAST_S: Final = 2.0
_LINE_END: Final = ord("\n")
