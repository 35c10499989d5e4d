"""What may be set about captured requests."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Which answered rows are kept, where, and how many.

    Attributes:
        directory: where they are kept; empty keeps none.
        random_share: of the rows that are kept whatever they are, 0 to 1.
        low_confidence: rows whose confidence is below it are suspicious; 0: none is.
        far_deviations: rows of which a signal is so many standard deviations of the reference
            profile from its mean are suspicious; 0: none is.
        max_per_minute: of each of both samples.
        max_count: rows that are kept; the oldest go.
        max_bytes: of all files together.
        max_age_s: then a row goes.
        max_queued_bytes: of pictures and tensors that wait to be looked at and written; more are
            dropped.
        redact: ``module:function`` that is shown each row before it is written; empty for none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    directory: str = ""
    random_share: float = 0.001
    low_confidence: float = 0.5
    far_deviations: float = 6.0
    max_per_minute: int = 60
    max_count: int = 10_000
    max_bytes: int = 1_000_000_000
    max_age_s: float = 2_592_000.0
    max_queued_bytes: int = 64_000_000
    redact: str = ""

    def __post_init__(self) -> None:
        for name in ("random_share", "low_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        if not 0 <= self.far_deviations < math.inf:
            raise ValueError(f"far_deviations is {self.far_deviations}, expected 0 or more")
        for name in ("max_per_minute", "max_count", "max_bytes", "max_queued_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 < self.max_age_s < math.inf:
            raise ValueError(f"max_age_s is {self.max_age_s}, expected a positive number")
        if self.redact and not _HOOK.fullmatch(self.redact):
            raise ValueError(
                f"redact is {self.redact!r}, expected such as mypackage.privacy:redact"
            )


_HOOK: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
