"""Captured requests, where they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.clock import epoch_s
from batchproof_server.base.events import Subscriber
from batchproof_server.base.files import reason_of
from batchproof_server.observing.capture.kept_files import KeptFiles, LocalFiles
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
    """Puts together what keeps rows, on a thread of its own from now on.

    A folder is opened here. An object store is reached for on that thread, so that no start waits
    for it; that its package is there is found out here.

    Raises:
        ValueError: the hook cannot be used, the directory cannot be written, or a package is not
            installed.
    """
    if not settings.directory:
        return Capturing()
    hook = load_hook(settings.redact)
    if settings.is_object_store:
        store = CaptureStore(settings, _object_files(settings))
    else:
        store = CaptureStore(settings, LocalFiles(Path(settings.directory)))
        _open_folder(settings.directory, store)
    observer = CaptureObserver(settings, store, hook, counts, log.write_capture)
    observer.start()
    return Capturing((observer,), observer.close)


def _open_folder(directory: str, store: CaptureStore) -> None:
    try:
        store.tidy(epoch_s())
    except OSError as fault:
        raise ValueError(
            f"capture.directory: {directory} cannot be used ({reason_of(fault)}), "
            "expected a directory that this process may write"
        ) from fault


def _object_files(settings: CaptureSettings) -> KeptFiles:
    try:
        from batchproof_server.observing.capture.object_files import (  # noqa: PLC0415 - an extra brings the library
            ObjectFiles,
            find_store,
        )
    except ModuleNotFoundError as missing:
        raise ValueError(
            f"capture.directory is an object store and {missing.name} is not installed, expected: "
            'pip install "batchproof[object-store]", or a folder'
        ) from missing
    find_store(settings.directory)
    return ObjectFiles(settings.directory, settings.store_timeout_s)
