"""Why the task of a call was cancelled."""

import asyncio


def is_cancelled() -> bool:
    """Whether somebody asked the running task to stop; its work may let CancelledError out too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_late(timeout_s: float | None, remaining_s: float | None) -> bool:
    """Whether a caller gave up because its time was over.

    Args:
        timeout_s: what was left of it when its call began; None when there is no limit.
        remaining_s: what is left now.
    """
    if timeout_s is None or remaining_s is None:
        return False
    return remaining_s <= _TRANSIT_S + timeout_s * _ROUNDING_SHARE


# A caller whose time is over gives up before our side of the deadline: its time began to run before
# the request arrived, and gRPC rounds the timeout that it sends up by 1 % at most.
_TRANSIT_S = 0.1
_ROUNDING_SHARE = 0.02
