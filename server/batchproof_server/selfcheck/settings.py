"""What may be set about the self-check."""

from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

SMALLEST_SHARE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SelfCheckSettings:
    """How much is checked while a model version serves, and what that may cost.

    Attributes:
        share: of the requests that are checked; 0 switches the self-check off.
        remembered_rows: rows of earlier requests that are kept as batch neighbours.
        max_remembered_bytes: of these rows and of those that wait for their check.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    share: float = 0.001
    remembered_rows: int = 16
    max_remembered_bytes: int = 32_000_000

    def __post_init__(self) -> None:
        if self.share != 0 and not SMALLEST_SHARE <= self.share <= 1:
            raise ValueError(f"share is {self.share}, expected 0, or {SMALLEST_SHARE} to 1")
        for name in ("remembered_rows", "max_remembered_bytes"):
            count = getattr(self, name)
            if count < 1:
                raise ValueError(f"{name} is {count}, expected 1 or more")
