"""What executes models, how long executions may take, and loading."""

import math
import sys
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.base.backoff import BackOff
from batchproof_server.base.validation import NO_UNKNOWN_KEYS

# A machine that is busy with something else makes an execution ten times as long, not a hundred.
_TIMES_MEASURED: Final = 100.0
_LEAST_S: Final = 10.0
_UNMEASURED_S: Final = 60.0
_MOST_DEVICES: Final = 256
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What executes models.

    Attributes:
        kind: ``process`` loads and executes each version in a process of its own, ``thread`` all of
            them in the server's.
        max_memory_bytes: a device process that takes more is ended and started again; 0 does not
            look.
        count: how many processes execute each version at the same time. Each has an equal share of
            the processor's cores as its threads, unless ``engine.intra_op_threads`` says otherwise.
        max_losses: a version each of whose processes was lost, or did not start, so often in a row
            has failed; 0 goes on for ever.
        healthy_s: a process that stood for so long begins a row of its own.
        longest_pause_s: between two starts; the pauses are 0, 1, 2, 4 ... seconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    kind: Literal["thread", "process"] = "thread"
    max_memory_bytes: int = 0
    count: int = 1
    max_losses: int = 6
    healthy_s: float = 60.0
    longest_pause_s: float = 60.0

    @property
    def back_off(self) -> BackOff:
        """How long a process that was lost is waited for."""
        return BackOff(_FIRST_PAUSE_S, self.longest_pause_s, self.healthy_s, at_once=1)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MOST_DEVICES:
            raise ValueError(f"count must be 1 to {_MOST_DEVICES}, not {self.count}")
        if self.count > 1 and self.kind != "process":
            raise ValueError(f'count is {self.count}, which needs kind = "process"')
        if self.max_losses < 0:
            raise ValueError(f"max_losses must be 0 or more, not {self.max_losses}")
        if not (math.isfinite(self.healthy_s) and self.healthy_s > 0):
            raise ValueError(f"healthy_s must be above 0 and finite, not {self.healthy_s}")
        if not _FIRST_PAUSE_S <= self.longest_pause_s <= _LONGEST_PAUSE_S:
            raise ValueError(
                f"longest_pause_s must be {_FIRST_PAUSE_S:g} to {_LONGEST_PAUSE_S:g}, "
                f"not {self.longest_pause_s}"
            )
        if self.max_memory_bytes < 0:
            raise ValueError(f"max_memory_bytes must be 0 or more, not {self.max_memory_bytes}")
        if self.kind == "process" and not sys.platform.startswith("linux"):
            raise ValueError('kind is "process", which needs Linux; here only "thread" works')


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """What an execution may take, and a step of loading.

    Attributes:
        max_execution_s: an execution that takes longer is given up, and the version does not answer
            until it comes back; 0 takes a hundred times what the slowest bucket took when the
            version was loaded, and 10 s at least.
        max_load_step_s: a version that is loaded or proven without any progress for longer has
            failed, and the next one is loaded.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_execution_s: float = 0.0
    max_load_step_s: float = 300.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_execution_s) and self.max_execution_s >= 0):
            raise ValueError(
                f"max_execution_s must be 0 or more and finite, not {self.max_execution_s}"
            )

        if not (math.isfinite(self.max_load_step_s) and self.max_load_step_s > 0):
            raise ValueError(
                f"max_load_step_s must be above 0 and finite, not {self.max_load_step_s}"
            )

    def limit_s(self, execution_s: tuple[float, ...]) -> float:
        """The limit for a version whose buckets took so long; empty when nothing was measured."""
        if self.max_execution_s:
            return self.max_execution_s
        if not execution_s:
            return _UNMEASURED_S
        return max(_LEAST_S, _TIMES_MEASURED * max(execution_s))
