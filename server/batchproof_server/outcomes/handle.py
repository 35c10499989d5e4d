"""The handle of an answered row: what was answered, under a seal. Pure: time and chance are given.

::

    form 1 | key 4 | version 8 | row 4 | class 4 | score 4 | time 8 | nonce 12 | model | seal 16

Form 2 is of independent labels: it has their number in the place of the class, and before the model
a bit for each, the first one highest, which says whether it was answered.

Numbers are big-endian, the score is a float32, the time is in milliseconds since 1970, the model is
UTF-8. The seal is HMAC-SHA-256 over everything before it, cut to 128 bits (RFC 2104, section 5).
"""

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from batchproof_server.base.scores import NO_ANSWER, Scores
from batchproof_server.outcomes.answered import NONCE_BYTES, AnsweredRow, OutcomeRefusal

FORM: Final = 1
LABELS_FORM: Final = 2
SEAL_BYTES: Final = 16
MIN_SECRET_BYTES: Final = 32
_HEAD: Final = struct.Struct(">B4sq")
_ROW: Final = struct.Struct(">IIf")
_WHEN: Final = struct.Struct(f">q{NONCE_BYTES}s")
_FIXED: Final = struct.Struct(f">B4sqIIfq{NONCE_BYTES}s")
MIN_HANDLE_BYTES: Final = _FIXED.size + SEAL_BYTES
MAX_HANDLE_BYTES: Final = 1_024
"""A name is that of a folder, 255 bytes at most."""
MAX_LABELS: Final = 5_000
"""Answers with more have no handles."""
# A key that serves another purpose too makes no seal of it.
_PURPOSE: Final = b"batchproof outcome handle"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key of handles.

    Args:
        secret: ``MIN_SECRET_BYTES`` or more that nobody else knows.
    """

    secret: bytes = field(repr=False)
    id: bytes = field(init=False)
    _seal: "hmac.HMAC" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        derived = hmac.digest(self.secret, _PURPOSE, "sha256")
        object.__setattr__(self, "id", hashlib.sha256(derived).digest()[:4])
        object.__setattr__(self, "_seal", hmac.new(derived, digestmod=hashlib.sha256))

    def seal(self, content: bytes) -> bytes:
        """The seal of a handle, ``SEAL_BYTES``."""
        seal = self._seal.copy()
        seal.update(content)
        return seal.digest()[:SEAL_BYTES]


@dataclass(frozen=True, slots=True)
class OpenedHandle:
    """What stands in a handle whose seal is whole.

    Attributes:
        answered_ms: since the beginning of 1970, by the clock of the server that answered.
    """

    row: AnsweredRow
    answered_ms: int


def seal_rows(
    key: SealingKey,
    model: str,
    version: int,
    best: Iterable[tuple[int, float] | tuple[int, float, bytes]],
    answered_ms: int,
    nonce: bytes,
) -> tuple[bytes, ...]:
    """The handle of each row of an answer.

    Args:
        key: seals.
        model: answered.
        version: its number.
        best: of each row the class that was answered and its probability. Of independent labels how
            many there are, the probability of the answer, and a bit for each label, ``MAX_LABELS``
            at most.
        answered_ms: since the beginning of 1970.
        nonce: of this answer, ``NONCE_BYTES``.
    """
    one_class, labels = _HEAD.pack(FORM, key.id, version), _HEAD.pack(LABELS_FORM, key.id, version)
    when, name = _WHEN.pack(answered_ms, nonce), model.encode("utf-8", "surrogateescape")
    handles: list[bytes] = []
    for row, (predicted, confidence, *chosen) in enumerate(best):
        head, answer = labels if chosen else one_class, _ROW.pack(row, predicted, confidence)
        content = b"".join((head, answer, when, *chosen, name))
        handles.append(content + key.seal(content))
    return tuple(handles)


class Sealer:
    """Gives every row of an answer its handle.

    Args:
        key: known to every server that is to take their outcomes.
        epoch_ms: what time it is.
        random_bytes: so many that no two answers share them.
    """

    def __init__(
        self, key: SealingKey, epoch_ms: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._key = key
        self._epoch_ms = epoch_ms
        self._random_bytes = random_bytes
        self._nonces: list[bytes] = []

    def seal(self, model: str, version: int, scores: Scores) -> tuple[bytes, ...]:
        """The handle of each row; none for more labels than fit into one.

        That of a row without an answer is empty: nothing can be right about it.

        Args:
            model: answered.
            version: its number.
            scores: of the rows.
        """
        try:
            nonce = self._nonces.pop()
        except IndexError:
            nonce = self._draw()
        # Python's own numbers: for a row or two they are quicker than those of numpy.
        decided, confidences = scores.decided.tolist(), scores.confidences.tolist()
        all_answered = NO_ANSWER not in decided
        answers: Iterable[tuple[int, float] | tuple[int, float, bytes]]
        if scores.chosen is None:
            classes = decided if all_answered else [max(0, each) for each in decided]
            answers = zip(classes, confidences, strict=True)
        else:
            labels = scores.chosen.shape[1]
            if labels > MAX_LABELS:
                return ()
            bits = np.packbits(scores.chosen, axis=1)
            answers = [
                (labels, confidence, row.tobytes())
                for row, confidence in zip(bits, confidences, strict=True)
            ]
        handles = seal_rows(self._key, model, version, answers, self._epoch_ms(), nonce)
        return handles if all_answered else _of_answers(handles, decided)

    # Asking the system lets other threads run, and each time costs two of their turns: so many are
    # drawn at once. Off the loop two threads may find none left; then each draws its own.
    def _draw(self) -> bytes:
        drawn = self._random_bytes(NONCE_BYTES * _NONCES_DRAWN)
        starts = range(0, len(drawn), NONCE_BYTES)
        nonce, *others = [drawn[start : start + NONCE_BYTES] for start in starts]
        self._nonces += others
        return nonce


_NONCES_DRAWN: Final = 64


def _of_answers(handles: tuple[bytes, ...], decided: Sequence[int]) -> tuple[bytes, ...]:
    rows = zip(handles, decided, strict=True)
    return tuple(b"" if best == NO_ANSWER else handle for handle, best in rows)


# Contract: nothing in a handle is believed, and none of its fields is read, before its seal was
# found to be that of the key that it names. Raises for no bytes whatever.
def open_handle(handle: bytes, keys: Sequence[SealingKey]) -> OpenedHandle | OutcomeRefusal:
    """What stands in a handle, or why it is not to be believed."""
    if not MIN_HANDLE_BYTES <= len(handle) <= MAX_HANDLE_BYTES or handle[0] not in _FORMS:
        return OutcomeRefusal.MALFORMED
    key = next((each for each in keys if each.id == handle[1:5]), None)
    if key is None:
        return OutcomeRefusal.UNKNOWN_KEY
    content, seal = handle[:-SEAL_BYTES], handle[-SEAL_BYTES:]
    if not hmac.compare_digest(key.seal(content), seal):
        return OutcomeRefusal.FORGED
    _, _, version, row, predicted, confidence, answered_ms, nonce = _FIXED.unpack_from(content)
    name, chosen = content[_FIXED.size :], None
    if handle[0] == LABELS_FORM:
        size = (predicted + 7) // 8
        if predicted > MAX_LABELS or len(name) < size:
            return OutcomeRefusal.MALFORMED
        chosen = _chosen(name[:size], predicted)
        name = name[size:]
    model = name.decode("utf-8", "surrogateescape")
    answered = AnsweredRow(model, version, row, predicted, confidence, nonce, chosen)
    return OpenedHandle(answered, answered_ms)


_FORMS: Final = (FORM, LABELS_FORM)


def _chosen(bits: bytes, labels: int) -> tuple[int, ...]:
    """The labels whose bit is set."""
    number = int.from_bytes(bits, "big") >> (-labels % 8)
    return tuple(each for each in range(labels) if number >> (labels - 1 - each) & 1)


def nonce_of(handle: bytes) -> bytes:
    """The nonce of the answer that a handle of this process belongs to."""
    return handle[_FIXED.size - NONCE_BYTES : _FIXED.size]
