"""Loading for commands, which wait for it: on a thread that may be left behind."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from batchproof_server.base.clock import Clock
from batchproof_server.models.stall import Stall
from batchproof_server.proof.settings import Progress, Tell

Loaded = TypeVar("Loaded")


def load_within(
    load: Callable[[Tell], Loaded], max_step_s: float, tell: Tell, clock: Clock
) -> Loaded:
    """What ``load`` loads, as long as there is progress.

    Args:
        load: runs on a thread of its own, and tells of its progress.
        max_step_s: until the next progress.
        tell: learns of the progress too, on that thread.
        clock: says what time it is.

    Raises:
        LoadingHangs: there was none for so long. The thread cannot be interrupted and goes on, so
            the process should end without waiting for it.
    """
    stall = Stall(max_step_s, clock)
    loading: Future[Loaded] = Future()

    def note(progress: Progress) -> None:
        stall.note(progress.step)
        tell(progress)

    def run() -> None:
        try:
            loading.set_result(load(note))
        except BaseException as fault:  # noqa: BLE001 - raised again by whoever waits
            loading.set_exception(fault)

    threading.Thread(target=run, name="load", daemon=True).start()
    while not loading.done():
        wait((loading,), timeout=max(0.0, stall.left_s()))
        if not loading.done():
            stall.check()
    return loading.result()
