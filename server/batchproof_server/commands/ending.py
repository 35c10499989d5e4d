"""How the process of a command ends although a model hangs. Knows the standard library only."""

import os
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Final

# Threads that load and execute models; see `models.thread_loader` and `models.limited_loading`.
OF_MODELS: Final = ("load", "device-")
# What is nearly over needs no more; what hangs never ends.
_PATIENCE_S: Final = 1.0


def end_if_hanging(code: int, threads: Iterable[threading.Thread]) -> None:
    """Ends the process when a thread of a model hangs, because Python would wait for that thread.

    Nothing can interrupt it: it may be in a kernel of an engine for ever. An exception that is on
    its way is told first, since nobody else will.

    Args:
        code: the exit code of the process.
        threads: those of the process. Only those of models are waited for.
    """
    of_models = [each for each in threads if each.name.startswith(OF_MODELS)]
    for thread in of_models:
        thread.join(_PATIENCE_S)
    if any(thread.is_alive() for thread in of_models):
        if sys.exception() is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
