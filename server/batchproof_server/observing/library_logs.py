"""What libraries log goes where the server logs."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from batchproof_server.base.errors import cut
from batchproof_server.observing.logs import Logger

_SHOWN_CHARACTERS: Final = 300


class _Bridge(logging.Handler):
    """Hands the records of the standard library's logging on."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._bridged = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's faulty format string must not fail us
            text = str(record.msg)
        self._bridged.log(
            _standard_level(record.levelno),
            cut(text, _SHOWN_CHARACTERS),
            library=record.name,
            exc_info=record.exc_info,
        )


def _standard_level(level: int) -> int:
    """Returns the standard level at or below a level; libraries may invent their own."""
    return min(logging.CRITICAL, max(logging.DEBUG, level // 10 * 10))


@contextmanager
def capture_library_logs(logger: Logger, level: int = logging.WARNING) -> Iterator[None]:
    """Sends what libraries log or warn to ``logger`` as long as the context lasts.

    Args:
        logger: from ``configure_logs``.
        level: what is less is dropped.
    """
    root = logging.getLogger()
    handlers, root_level = root.handlers[:], root.level
    show = warnings.showwarning
    root.handlers[:] = [_Bridge(logger)]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        warnings.showwarning = show
        root.handlers[:] = handlers
        root.setLevel(root_level)
