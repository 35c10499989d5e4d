"""What may be set about shadows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.selfcheck.settings import SMALLEST_SHARE


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """Which versions are shadows, and what they may cost.

    Attributes:
        versions: by the names of their models.
        share: of the answered tasks, of each of which a shadow executes one row.
        max_held_bytes: of rows and answers that wait for a shadow, over all models.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    versions: Mapping[str, int] = field(default_factory=dict)
    share: float = 0.1
    max_held_bytes: int = 16_000_000

    def __post_init__(self) -> None:
        for model, version in self.versions.items():
            if version < 1:
                raise ValueError(f"versions.{model} is {version}, expected 1 or more")
        if not SMALLEST_SHARE <= self.share <= 1:
            raise ValueError(f"share is {self.share}, expected {SMALLEST_SHARE} to 1")
        if self.max_held_bytes < 1:
            raise ValueError(f"max_held_bytes is {self.max_held_bytes}, expected 1 or more")
