"""The bell of a completion queue: an event of our own, from any thread."""

import threading

from batchproof_server.rpc.fronts.completion_queue.arrived import BELL
from batchproof_server.rpc.fronts.completion_queue.private_api import CoreCall


# Contract
#
# An empty batch of a call completes at once, whatever became of the call. No other part of the
# private API puts an event into a server's queue from another thread, so there is no bell before
# the first call. A batch that is begun on a queue which is shut ends the process: the bell is taken
# down before, under the lock that it is rung under. The lock is one that a signal handler may take
# again, since it may run while its own thread rings. At most one event of the bell is in the queue.
class Bell:
    """Ends the wait for a queue."""

    def __init__(self) -> None:
        self._call: CoreCall | None = None
        self._is_gone = False
        self._is_ringing = False
        self._lock = threading.RLock()

    def hang(self, call: CoreCall) -> bool:
        """Hangs it on a call of the queue, if it does not hang yet; whether it can be rung."""
        with self._lock:
            if self._call is None and not self._is_gone:
                self._call = call
            return self._call is not None

    def ring(self) -> bool:
        """Puts its event into the queue, unless it is there; from any thread.

        Returns:
            Whether it can be rung: a call that takes no batch is let go of.
        """
        with self._lock:
            if self._call is None or self._is_ringing:
                return self._call is not None
            self._is_ringing = True
            try:
                is_refused = bool(self._call.start_server_batch((), (BELL, 0)))
            except Exception:  # noqa: BLE001 - whoever rings has work of its own
                is_refused = True
            if is_refused:
                self._call, self._is_ringing = None, False
            return not is_refused

    def note(self) -> None:
        """Its event was taken off the queue."""
        self._is_ringing = False

    def take_down(self) -> None:
        """Lets go of the call; it is never rung again."""
        with self._lock:
            self._is_gone = True
            self._call = None
