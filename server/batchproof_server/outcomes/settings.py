"""What may be set about labels that arrive later."""

import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class OutcomeSettings:
    """Labels that arrive later.

    Attributes:
        enabled: whether answers carry handles and outcomes are taken.
        key_file: the keys of handles, one a line, the first seals, all open; empty takes a random
            key, which ends with the process.
        max_age_s: how long after an answer its outcome is accepted.
        max_counted_bytes: of the handles that were counted, which do not count again; beyond them
            the oldest count is forgotten.
        accept_request_ids: whether an outcome may name its answer by request id alone.
        max_remembered_rows: of all models together, for request ids; 0 remembers nothing.
        max_remembered_bytes: of them, with their request ids.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    enabled: bool = True
    key_file: str = ""
    max_age_s: float = 2_592_000.0
    max_counted_bytes: int = 64_000_000
    accept_request_ids: bool = False
    max_remembered_rows: int = 200_000
    max_remembered_bytes: int = 128_000_000

    def __post_init__(self) -> None:
        for name in ("max_counted_bytes", "max_remembered_rows", "max_remembered_bytes"):
            limit = getattr(self, name)
            if limit < 0:
                raise ValueError(f"{name} is {limit}, expected 0 or more")
        if not 0 < self.max_age_s < math.inf:
            raise ValueError(f"max_age_s is {self.max_age_s}, expected a positive number")
