"""One answered row, however it was found, and why it may not count. Pure."""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NONCE_BYTES: Final = 12
"""Of one answer; drawn at random, so no two answers have the same."""
_ROW = struct.Struct(">I")


class OutcomeRefusal(StrEnum):
    """Why an outcome is not counted; the values are those of the metric."""

    MALFORMED = "malformed"
    FORGED = "forged"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_MODEL = "unknown_model"
    EXPIRED = "expired"
    ALREADY_REPORTED = "already_reported"
    LABEL_OUT_OF_RANGE = "label_out_of_range"
    NO_HANDLE = "no_handle"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    ROW_OUT_OF_RANGE = "row_out_of_range"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """What one row was answered with.

    Attributes:
        model: the name of the version that answered.
        version: its number.
        row: its place in the request, from 0.
        predicted: the class that was the answer; of independent labels how many there are.
        confidence: the probability of the answer.
        nonce: of the answer, ``NONCE_BYTES``.
        chosen: of independent labels those that were the answer, ascending; None of classes.
    """

    model: str
    version: int
    row: int
    predicted: int
    confidence: float
    nonce: bytes
    chosen: tuple[int, ...] | None = None

    @property
    def key(self) -> bytes:
        """What no other row of any answer has."""
        return self.nonce + _ROW.pack(self.row)
