"""The recent answers, a few bytes for each row, until their labels arrive. Pure: knows no clock."""

import math
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from batchproof_server.base.events import PredictionRecord
from batchproof_server.outcomes.answered import AnsweredRow, OutcomeRefusal
from batchproof_server.outcomes.handle import nonce_of
from batchproof_server.outcomes.settings import OutcomeSettings

_ROW_BYTES = 9  # class, confidence, reported or not
_ANSWER_BYTES = 576  # what Python keeps for an answer beside its rows and its id


@dataclass(frozen=True, slots=True)
class PredictedRows:
    """What one request was answered with.

    Attributes:
        predicted: the most likely class of each row, uint32 [rows] as bytes.
        confidences: its probability, float32 [rows] as bytes; NaN of a row without an answer.
        rows: how many.
    """

    model: str
    version: int
    predicted: bytes
    confidences: bytes
    rows: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", len(self.predicted) // 4)


@dataclass(slots=True)
class _Remembered:
    answer: PredictedRows
    answered_s: float
    nonce: bytes
    reported: bytearray
    is_ambiguous: bool = False


# Contract of the memory
#
# Rows and bytes never exceed their bounds; what is forgotten to keep them is what was answered
# longest ago, and beside it only the answers of an unloaded version. An answer that is too old is
# still known until its place is needed, so that its caller is told "too late" and not "never heard
# of". An id under which one answer was given twice (a repeated call) stands for that answer; an id
# under which answers differ stands for none of them, unless the earlier one was too old by then. A
# row is reported once.
@dataclass(slots=True)
class RecentAnswers:
    """Answers by request id, oldest first. Time is an argument that never goes back."""

    settings: OutcomeSettings
    _versions: set[tuple[str, int]] = field(default_factory=set)
    _answers: "OrderedDict[str, _Remembered]" = field(default_factory=OrderedDict)
    _rows: int = 0
    _bytes: int = 0

    @property
    def rows(self) -> int:
        """Remembered now."""
        return self._rows

    @property
    def remembered_bytes(self) -> int:
        """What they take, by our count."""
        return self._bytes

    def expect(self, model: str, version: int) -> None:
        """A version answers from now on; what others answer is not learned."""
        self._versions.add((model, version))

    def learn(self, now_s: float, record: PredictionRecord) -> None:
        """Keeps class and confidence of each row of an answer.

        Args:
            now_s: the instant.
            record: of a version that is expected, or was unloaded before this was told; an answer
                without handles is of nobody who could report. Sets of labels are not kept: they
                are in the handles.
        """
        handle = next(filter(None, record.handles), None)
        if (record.model, record.version) not in self._versions or handle is None:
            return
        scores = record.scores
        if scores.chosen is not None:
            return
        answer = PredictedRows(
            model=record.model,
            version=record.version,
            predicted=scores.decided.astype(np.uint32).tobytes(),
            confidences=scores.confidences.astype(np.float32).tobytes(),
        )
        self.remember(record.request_id, answer, now_s, nonce_of(handle))

    def remember(self, request_id: str, answer: PredictedRows, now_s: float, nonce: bytes) -> None:
        """Keeps an answer, and forgets the oldest ones for it.

        An answer that is larger than the bounds is not kept, nor is anything forgotten for it,
        except what was known under its id. Of an answer that is given again the first nonce stays.
        """
        known = self._answers.get(request_id)
        if known is not None and known.answer == answer:
            known.answered_s = now_s
            self._answers.move_to_end(request_id)
            return
        is_ambiguous = known is not None and not self._is_too_old(known, now_s)
        if known is not None:
            self._forget(request_id)
        size_bytes = _size_bytes(request_id, answer)
        if answer.rows > self.settings.max_remembered_rows:
            return
        if size_bytes > self.settings.max_remembered_bytes:
            return
        self._make_room(answer.rows, size_bytes)
        kept = _Remembered(answer, now_s, nonce, bytearray(answer.rows), is_ambiguous)
        self._answers[request_id] = kept
        self._rows += answer.rows
        self._bytes += size_bytes

    def find(self, request_id: str, row: int, now_s: float) -> AnsweredRow | OutcomeRefusal:
        """A row whose outcome may be counted now, or why it may not."""
        known = self._answers.get(request_id)
        if known is None:
            return OutcomeRefusal.UNKNOWN
        if self._is_too_old(known, now_s):
            return OutcomeRefusal.EXPIRED
        if known.is_ambiguous:
            return OutcomeRefusal.AMBIGUOUS
        answer = known.answer
        if not 0 <= row < answer.rows:
            return OutcomeRefusal.ROW_OUT_OF_RANGE
        if known.reported[row]:
            return OutcomeRefusal.ALREADY_REPORTED
        return _answered(known, row)

    def mark_reported(self, request_id: str, row: int) -> None:
        """The row that ``find`` gave has been counted."""
        self._answers[request_id].reported[row] = 1

    def answerer(self, request_id: str) -> tuple[str, int]:
        """The model and version that answered; ``("", 0)`` when it is not known."""
        known = self._answers.get(request_id)
        return ("", 0) if known is None else (known.answer.model, known.answer.version)

    def forget(self, model: str, version: int) -> None:
        """Forgets a version and its answers. Looks at all that are remembered."""
        self._versions.discard((model, version))
        theirs = [
            request_id
            for request_id, kept in self._answers.items()
            if kept.answer.version == version and kept.answer.model == model
        ]
        for request_id in theirs:
            self._forget(request_id)

    def _is_too_old(self, known: _Remembered, now_s: float) -> bool:
        return now_s - known.answered_s > self.settings.max_age_s

    def _make_room(self, rows: int, size_bytes: int) -> None:
        settings = self.settings
        while (
            self._rows + rows > settings.max_remembered_rows
            or self._bytes + size_bytes > settings.max_remembered_bytes
        ):
            self._forget(next(iter(self._answers)))

    def _forget(self, request_id: str) -> None:
        forgotten = self._answers.pop(request_id)
        self._rows -= forgotten.answer.rows
        self._bytes -= _size_bytes(request_id, forgotten.answer)


def _answered(known: _Remembered, row: int) -> AnsweredRow | OutcomeRefusal:
    answer = known.answer
    predicted = memoryview(answer.predicted).cast("I")[row]
    confidence = memoryview(answer.confidences).cast("f")[row]
    if math.isnan(confidence):
        return OutcomeRefusal.NO_ANSWER
    return AnsweredRow(answer.model, answer.version, row, predicted, confidence, known.nonce)


def _size_bytes(request_id: str, answer: PredictedRows) -> int:
    return _ANSWER_BYTES + len(request_id) + _ROW_BYTES * answer.rows
