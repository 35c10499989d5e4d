"""Opens models for commands within the limit that the server has for loading."""

from collections.abc import Callable
from typing import TypeVar

from batchproof_server.application.config import Config
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.models.limited_loading import load_within
from batchproof_server.proof.settings import silent

Opened = TypeVar("Opened")


def open_within(config: Config, work: Callable[[], Opened]) -> Opened:
    """What ``work`` gives, which opens a model: that may execute its initialisers.

    Args:
        config: has the limit, ``[execution] max_load_step_s``.
        work: runs on a thread of its own.

    Raises:
        LoadingHangs: it took too long. The thread goes on: see ``commands.ending``.
    """
    max_step_s = config.execution.max_load_step_s
    return load_within(lambda _: work(), max_step_s, silent, MonotonicClock())
