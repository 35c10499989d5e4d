"""What may be set about diagnoses that a server makes."""

import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class DiagnosisSettings:
    """How much a server diagnoses for its callers.

    Attributes:
        max_under_way: diagnoses that callers wait for at the same time, of which one is worked on;
            further ones are refused. 0 makes none.
        time_limit_s: for one diagnosis, its turn included; a caller's own deadline may be shorter.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_under_way: int = 4
    time_limit_s: float = 120.0

    def __post_init__(self) -> None:
        if self.max_under_way < 0:
            raise ValueError(f"max_under_way is {self.max_under_way}, expected 0 or more")
        if not 0 < self.time_limit_s < math.inf:
            raise ValueError(f"time_limit_s is {self.time_limit_s}, expected above 0 and finite")
