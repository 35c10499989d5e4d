"""The self-check while serving: which answers are tried again, when, and beside which rows.

Pure: time is an argument, and nothing here executes.
"""

import hashlib
import math
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.proof.probing.answers import same_bits
from batchproof_server.selfcheck.judging import Answered, Check, Skipped
from batchproof_server.selfcheck.settings import SelfCheckSettings

MAX_WAITING = 4
"""Answers that wait for their check; what is selected beyond them is skipped."""
QUIET_S = 0.01
"""A check begins when the device has had nothing to do for this long,"""
PATIENCE_S = 1.0
"""or when none has begun for this long and nothing waits, however short the pause."""


def turn(purpose: str, number: int) -> int:
    """A number from 0 to 2^64 - 1 that looks random and depends on the arguments alone.

    It is the first 8 bytes of BLAKE2b, so that equal sequences of requests are checked equally.
    """
    digest = hashlib.blake2b(f"{purpose}:{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


# Contract
#
# The sequence is cut into stretches of 1 / share events (rounded up, one by one, so that nothing
# adds up), and one event of each is picked: of n events n x share are, give or take one. The place
# inside a stretch is a hash of its number, so that a client which repeats itself every thousand
# requests cannot always or never be met. The first event of all is picked: a model that is seldom
# asked is checked all the same.
class Sampler:
    """Picks a share of the events that it is told of.

    Args:
        share: 0 picks nothing, 1 everything; else at least ``SMALLEST_SHARE``.
        purpose: samplers of different purposes pick independently.
    """

    def __init__(self, share: float, purpose: str) -> None:
        self._share = share
        self._purpose = purpose
        self._events = 0
        self._stretch = 0
        self._next = 0 if share > 0 else -1

    def picks(self) -> bool:
        """Whether the next event is picked; costs one comparison when it is not."""
        event = self._events
        self._events += 1
        if event != self._next:
            return False
        self._stretch += 1
        self._next = self._place()
        return True

    def _place(self) -> int:
        start = math.ceil(self._stretch / self._share)
        stop = math.ceil((self._stretch + 1) / self._share)
        return start + turn(self._purpose, self._stretch) % max(1, stop - start)


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    # One row in its own memory, and the micro-batch that it came from.
    inputs: Tensors
    kind: Hashable
    batch: int
    size_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class _SelectedRow:
    row: _Row
    request_id: str
    expected: Tensors
    position: int
    bucket_rows: int
    selected_s: float
    size_bytes: int


# Contract
#
# Share       Of the requests (a large one counts once for each of its slices) ``share`` are
#             selected, by their number; of each one row is checked. Every selected one is counted
#             once: identical, different or skipped.
# Neighbours  Rows of other micro-batches, of the same kind; with other content than the row under
#             test as far as such rows are known. Until there is one, the check waits.
# Bucket      The smallest of at least 2 rows among those whose answers the proof found
#             bit-identical with the bucket that answered: a check costs no more than that.
# Memory      ``remembered_rows`` rows as neighbours and MAX_WAITING under test; each of the two at
#             most half of ``max_remembered_bytes``. All are copies. Rows are remembered until the
#             memory is full, then one of so many micro-batches that it is renewed once between two
#             checks or so.
# Patience    A check may begin QUIET_S after the device fell idle, or PATIENCE_S after it was
#             selected and after the last one began, whichever comes first.
class SelfChecks:
    """Decides for one model version what is checked.

    Args:
        settings: how much.
        classes: buckets with bit-identical answers, as the certificate has them; a bucket that is
            in none is compared with itself only.

    Attributes:
        waiting: what was selected and is not checked yet; only to be read.
    """

    def __init__(
        self, settings: SelfCheckSettings, classes: Sequence[tuple[int, ...]] = ()
    ) -> None:
        self._settings = settings
        self._bucket_of = {bucket: _smallest(members) for members in classes for bucket in members}
        self._selected = Sampler(settings.share, "selected")
        self._renewed = Sampler(min(1.0, settings.share * settings.remembered_rows), "remembered")
        self._remembered: deque[_Row] = deque()
        self._remembered_bytes = 0
        self._is_full = False
        self.waiting: list[_SelectedRow] = []
        # The answer of _ready, until what waits or is remembered changes: it is asked for every
        # time that the queue moves.
        self._known_ready: _SelectedRow | None = None
        self._is_ready_known = False
        self._batches = 0
        self._selections = 0
        self._began_s = -math.inf

    @classmethod
    def none(cls) -> "SelfChecks":
        """Checks nothing and keeps nothing."""
        return cls(SelfCheckSettings(share=0))

    def learn(
        self, tasks: Sequence[Answered], bucket_rows: int, now_s: float
    ) -> tuple[Skipped, ...]:
        """Learns of a micro-batch whose callers have been answered.

        Args:
            tasks: 1 or more; what is kept of them is copied.
            bucket_rows: that were executed.
            now_s: the instant.

        Returns:
            What was selected, now or earlier, and will not be checked.
        """
        if self._settings.share == 0:
            return ()
        self._batches += 1
        skipped: list[Skipped] = []
        for task in tasks:
            if self._selected.picks():
                skipped += self._select(task, bucket_rows, now_s)
                self._is_ready_known = False
        if self._renewed.picks() or not self._is_full:
            self._remember(tasks[self._batches % len(tasks)])
            self._is_ready_known = False
        return tuple(skipped)

    def due_at(self, idle_since_s: float) -> float | None:
        """The earliest instant at which ``take`` would return a check; None when none can.

        Args:
            idle_since_s: since when the device has had nothing to do.
        """
        if (candidate := self._ready() if self.waiting else None) is None:
            return None
        patient_until_s = max(candidate.selected_s, self._began_s) + PATIENCE_S
        return min(idle_since_s + QUIET_S, patient_until_s)

    def take(self, now_s: float, idle_since_s: float) -> Check | None:
        """The next check if one is due; to be called only when no request waits."""
        if not self.waiting:
            return None
        due_at_s = self.due_at(idle_since_s)
        candidate = self._ready()
        if candidate is None or due_at_s is None or due_at_s > now_s:
            return None
        self.waiting.remove(candidate)
        self._is_ready_known = False
        self._began_s = now_s
        return self._arranged(candidate)

    def drop(self) -> tuple[Skipped, ...]:
        """Forgets everything; what waited is not checked."""
        skipped = tuple(Skipped(each.request_id, "draining") for each in self.waiting)
        self.waiting.clear()
        self._remembered.clear()
        self._remembered_bytes = 0
        self._is_ready_known = False
        return skipped

    def _select(self, task: Answered, bucket_rows: int, now_s: float) -> Iterator[Skipped]:
        input_bytes = _row_bytes(task.inputs, task.rows)
        size_bytes = input_bytes + _row_bytes(task.outputs, task.rows)
        held_bytes = sum(each.size_bytes for each in self.waiting)
        if held_bytes + size_bytes > self._settings.max_remembered_bytes // 2:
            yield Skipped(task.request_id, "too large")
            return
        if len(self.waiting) == MAX_WAITING:
            lonely = next((each for each in self.waiting if not self._has_neighbours(each)), None)
            if lonely is None:
                yield Skipped(task.request_id, "busy")
                return
            self.waiting.remove(lonely)
            yield Skipped(lonely.request_id, "no company")
        self._selections += 1
        row = turn("row", self._selections) % task.rows
        self.waiting.append(
            _SelectedRow(
                row=self._row(task, row, input_bytes),
                request_id=task.request_id,
                expected=_copied(task.outputs, row),
                position=task.position + row,
                bucket_rows=bucket_rows,
                selected_s=now_s,
                size_bytes=size_bytes,
            )
        )

    def _remember(self, task: Answered) -> None:
        limit_bytes = self._settings.max_remembered_bytes // 2
        size_bytes = _row_bytes(task.inputs, task.rows)
        if size_bytes > limit_bytes:
            return
        row = self._row(task, turn("remembered", self._batches) % task.rows, size_bytes)
        self._remembered.append(row)
        self._remembered_bytes += size_bytes
        while (
            len(self._remembered) > self._settings.remembered_rows
            or self._remembered_bytes > limit_bytes
        ):
            self._remembered_bytes -= self._remembered.popleft().size_bytes
            self._is_full = True

    def _row(self, task: Answered, row: int, size_bytes: int) -> _Row:
        return _Row(_copied(task.inputs, row), task.kind, self._batches, size_bytes)

    def _ready(self) -> _SelectedRow | None:
        if not self._is_ready_known:
            able = (each for each in self.waiting if self._has_neighbours(each))
            self._known_ready, self._is_ready_known = next(able, None), True
        return self._known_ready

    def _has_neighbours(self, candidate: _SelectedRow) -> bool:
        alone = self._checked_in(candidate.bucket_rows) == 1
        return alone or any(_fits(each, candidate.row) for each in self._remembered)

    def _checked_in(self, bucket_rows: int) -> int:
        return self._bucket_of.get(bucket_rows, bucket_rows)

    def _arranged(self, candidate: _SelectedRow) -> Check:
        bucket_rows = self._checked_in(candidate.bucket_rows)
        places = [place for place in range(bucket_rows) if place != candidate.position] or [0]
        position = places[turn("position", candidate.row.batch) % len(places)]
        neighbours = self._neighbours(candidate.row, bucket_rows - 1)
        return Check(
            request_id=candidate.request_id,
            parts=(*neighbours[:position], candidate.row.inputs, *neighbours[position:]),
            bucket_rows=bucket_rows,
            position=position,
            expected=candidate.expected,
            answered_bucket_rows=candidate.bucket_rows,
        )

    def _neighbours(self, row: _Row, count: int) -> list[Tensors]:
        known = [each.inputs for each in self._remembered if _fits(each, row)]
        # The text is hashed: another one would choose other rows.
        start = turn("company", row.batch) % max(1, len(known))
        turned = [*known[start:], *known[:start]]
        others = (each for each in turned if not same_bits(each, row.inputs))
        chosen = list(islice(others, count)) or turned
        return [chosen[place % len(chosen)] for place in range(count)]


def _smallest(members: Sequence[int]) -> int:
    return min((rows for rows in members if rows > 1), default=min(members))


def _fits(one: _Row, other: _Row) -> bool:
    return one.kind == other.kind and one.batch != other.batch


def _row_bytes(tensors: Tensors, rows: int) -> int:
    return sum([array.nbytes for array in tensors.values()]) // rows


def _copied(tensors: Tensors, row: int) -> dict[str, Array]:
    return {name: array[row : row + 1].copy() for name, array in tensors.items()}
