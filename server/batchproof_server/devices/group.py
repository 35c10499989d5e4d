"""Several devices that execute the same, as one that executes several micro-batches at a time."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from batchproof_server.base.signature import Tensors
from batchproof_server.devices.device import (
    Device,
    DeviceState,
    Execution,
    Finish,
    TellDevice,
    tell_nobody,
)

# The state of a group is the first of these that one of its members is in.
_BEST_FIRST: Final = (
    DeviceState.IDLE,
    DeviceState.BUSY,
    DeviceState.LOADING,
    DeviceState.STUCK,
    DeviceState.GONE,
)


# Contract: see ``Device``. A micro-batch goes to the member that has been idle for the longest
# time. One that is away is not missed while others execute: the listener is told why the group
# cannot execute once all of its members have said so.
class DeviceGroup:
    """Executes on whichever member is idle.

    Args:
        members: two or more, each of them for itself.
    """

    def __init__(self, members: Sequence[Device]) -> None:
        self._members = tuple(members)
        self._executing: dict[Device, None] = {}  # in the order in which they began
        self._reasons = [""] * len(self._members)
        self._tell: TellDevice = tell_nobody
        for number, member in enumerate(self._members):
            member.listen(partial(self._hear, number))

    @property
    def members(self) -> tuple[Device, ...]:
        """The devices."""
        return self._members

    @property
    def state(self) -> DeviceState:
        """The best of the members' states."""
        states = {member.state for member in self._members}
        return next(state for state in _BEST_FIRST if state in states)

    @property
    def width(self) -> int:
        """One for each member, whether it is there now or not."""
        return len(self._members)

    @property
    def room(self) -> int:
        """Of all members together."""
        return sum([member.room for member in self._members])

    @property
    def idle_since_s(self) -> float:
        """The instant at which a member became idle the last time."""
        return max([member.idle_since_s for member in self._members])

    def listen(self, tell: TellDevice) -> None:
        """Says who is told that no member can execute for now, and that one can again."""
        self._tell = tell

    def execute(self, parts: tuple[Tensors, ...], bucket_rows: int, finish: Finish) -> None:
        """Begins to execute on an idle member."""
        member = self._idle()
        self._executing[member] = None
        member.execute(parts, bucket_rows, partial(self._finish, member, finish))

    def execute_here(self, parts: tuple[Tensors, ...], bucket_rows: int) -> Execution | None:
        """Executes on an idle member while the caller waits, where that can be done."""
        return self._idle().execute_here(parts, bucket_rows)

    def cancel(self) -> None:
        """Has the member that has executed for the longest time give up."""
        if (member := next(iter(self._executing), None)) is not None:
            del self._executing[member]
            member.cancel()

    def replace(self) -> None:
        """Has each member that is stuck or was lost begin anew."""
        for member in self._members:
            member.replace()

    def close(self) -> None:
        """Closes every member."""
        for member in self._members:
            member.close()

    def _idle(self) -> Device:
        idle = [member for member in self._members if member.room]
        return min(idle, key=lambda member: member.idle_since_s)

    def _finish(self, member: Device, finish: Finish, execution: Execution) -> None:
        self._executing.pop(member, None)  # one that was told to give up is not in it
        finish(execution)

    def _hear(self, number: int, reason: str) -> None:
        self._reasons[number] = reason
        if not reason or all(self._reasons):
            self._tell(reason)
