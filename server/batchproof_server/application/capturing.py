"""Captured requests, where they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from batchproof_server.base.clock import epoch_s
from batchproof_server.base.events import Subscriber
from batchproof_server.base.files import reason_of
from batchproof_server.observing.capture.observer import CaptureObserver
from batchproof_server.observing.capture.redaction import load_hook
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.capture.store import CaptureStore
from batchproof_server.observing.logs import LogObserver
from batchproof_server.observing.result_counts import ResultCounts


@dataclass(frozen=True, slots=True)
class Capturing:
    """What keeps answered rows.

    Attributes:
        subscribers: look at answers; none where nothing is kept.
        close: writes what waits, and ends.
    """

    subscribers: tuple[Subscriber, ...] = ()
    close: Callable[[], None] = lambda: None


def compose_capturing(
    settings: CaptureSettings, counts: ResultCounts, log: LogObserver
) -> Capturing:
    """Puts together what keeps rows, on a thread of its own from now on; opens their directory.

    Raises:
        ValueError: the hook cannot be used, or the directory cannot be written.
    """
    if not settings.directory:
        return Capturing()
    hook, store = load_hook(settings.redact), CaptureStore(settings)
    try:
        store.open(epoch_s())
    except OSError as fault:
        raise ValueError(
            f"capture.directory: {settings.directory} cannot be used ({reason_of(fault)}), "
            "expected a directory that this process may write"
        ) from fault
    observer = CaptureObserver(settings, store, hook, counts, log.write_capture)
    observer.start()
    return Capturing((observer,), observer.close)
