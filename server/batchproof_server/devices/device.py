"""What executes micro-batches: the contract, and what comes back."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from batchproof_server.base.signature import Tensors
from batchproof_server.base.unguarded import unguarded


class DeviceState(StrEnum):
    """What a device is doing. Only an idle one may be given work."""

    LOADING = "loading"
    IDLE = "idle"
    BUSY = "busy"
    STUCK = "stuck"
    GONE = "gone"


@unguarded()
class Executed:
    """A micro-batch that was executed.

    Attributes:
        parts: the outputs of each part, in order, in memory of its own.
        execution_s: from the start of assembly to the end of the split.
    """

    parts: tuple[Tensors, ...]
    execution_s: float


GIVEN_UP: Final = "it took longer than [execution] max_execution_s allows and was given up"


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """A micro-batch that has no outputs.

    Attributes:
        cause: what was raised, or why it was given up.
        execution_s: until then; 0 when it never began.
    """

    cause: BaseException
    execution_s: float


Execution: TypeAlias = Executed | NotExecuted
Finish: TypeAlias = Callable[[Execution], None]
# Told why a device cannot execute for now, without anybody's doing; told nothing ("") when it can.
TellDevice: TypeAlias = Callable[[str], None]


def tell_nobody(reason: str) -> None:
    """For devices that nobody listens to."""
    del reason


# Contract of a device
#
# Threads  Every method is called on the loop thread, and so is ``finish``.
# Width    It executes as many micro-batches at a time as its width says, most devices one; it is
#          busy when it has no room for another.
# Once     A micro-batch takes its place from ``execute`` until right before ``finish`` is called,
#          which happens once, in a later turn of the loop, whatever becomes of the execution. Only
#          when the loop is closed first is it never called: nobody waits then.
# Stuck    ``cancel`` gives up the micro-batch that began first: its ``finish`` is called with
#          NotExecuted, and its place is taken until whatever executes comes back, or until
#          ``replace``. A device is stuck when that is so of all places.
# Lost     Where what executes can go away by itself, the device is then loading, and busy, until
#          there is another. The micro-batch at hand is NotExecuted, for ModelNotReady.
# News     Who listens is told when it becomes idle without a ``finish``, and why it is away when
#          that takes long.
# Gone     After ``close``; every execution is then a NotExecuted.
class Device(Protocol):
    """Executes micro-batches of one model version."""

    @property
    def state(self) -> DeviceState:
        """What it is doing now."""
        ...

    @property
    def width(self) -> int:
        """How many micro-batches it executes at the same time."""
        ...

    @property
    def room(self) -> int:
        """How many more micro-batches it can be given now; 0 while it is busy."""
        ...

    @property
    def idle_since_s(self) -> float:
        """The instant at which one of its places became idle the last time."""
        ...

    def listen(self, tell: TellDevice) -> None:
        """Says who is told that it cannot execute for now, and that it can again."""
        ...

    def execute(self, parts: tuple[Tensors, ...], bucket_rows: int, finish: Finish) -> None:
        """Begins to execute ``parts`` together, padded to ``bucket_rows``; where there is room.

        Args:
            parts: inputs as the signature names them, each with 1 or more rows on axis 0.
            bucket_rows: a bucket that the device is loaded for, at least the rows of all parts.
            finish: gets what became of it.
        """
        ...

    def execute_here(self, parts: tuple[Tensors, ...], bucket_rows: int) -> Execution | None:
        """Executes while the caller waits; None where that cannot be done."""
        ...

    def cancel(self) -> None:
        """Gives up the micro-batch that began first; of no effect when there is none."""
        ...

    def replace(self) -> None:
        """Begins anew, now, when it is stuck or was lost; a thread that hangs is left alone."""
        ...

    def close(self) -> None:
        """Releases what executes and the model; of no effect the second time."""
        ...
