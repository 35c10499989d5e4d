"""What a check says."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from batchproof_server.diagnosis.case import Case


class Level(IntEnum):
    """How much a number says."""

    FINE = 0
    SUSPICIOUS = 1
    LIKELY = 2

    @property
    def text(self) -> str:
        """As people read it."""
        return ("fine", "suspicious", "likely cause")[self]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a number stops being usual.

    Attributes:
        value: the limit.
        reason: why it is that, without a full stop.
    """

    value: float
    reason: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check says of one thing that it looked at.

    Attributes:
        cause: the name of the cause that it speaks for, such as ``scaling:unit``.
        title: the cause in words.
        number: what was measured; None where it could not be.
        threshold: what it is compared with; None where it could not be.
        level: what that comes to.
        evidence: one sentence with the numbers.
        advice: one sentence; empty where there is nothing to do.
        weight: orders causes of the same level, the greater first.
    """

    cause: str
    title: str
    number: float | None
    threshold: Threshold | None
    level: Level
    evidence: str
    advice: str = ""
    weight: float = 0.0


NOTHING_UNUSUAL: Final = "nothing"
"""The name of the cause that there is none."""


# Contract: pure. A check that cannot look says so with a finding whose number is None; it never
# leaves its part of the report empty, and never accuses without a number.
class DiagnosisCheck(Protocol):
    """One question to a case."""

    @property
    def question(self) -> str:
        """As a heading."""
        ...

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """One finding or more."""
        ...
