"""Which answered rows are captured; looked at and written on a thread beside the loop."""

import io
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np

from batchproof_server.base.clock import epoch_ns
from batchproof_server.base.events import (
    InputsAnswered,
    PredictionRecord,
    SelfCheckRecord,
    Subscription,
)
from batchproof_server.base.signature import Tensors
from batchproof_server.imaging.formats.table import FORMAT_BY_FIRST_BYTE
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_facts import VersionFacts
from batchproof_server.models.version_states import VersionState
from batchproof_server.observing.capture.captured import (
    CapturedRow,
    Sample,
    answer_of,
    far_signals,
    row_signals,
)
from batchproof_server.observing.capture.redaction import Redact, RedactionFailed, redacted
from batchproof_server.observing.capture.settings import CaptureSettings
from batchproof_server.observing.capture.store import CaptureStore, capture_id
from batchproof_server.observing.result_counts import ResultCounts


# Contract: what is subscribed is called on the loop thread; it copies and computes nothing, and
# where more than max_queued_bytes wait it drops. All else happens on one thread, after the answer.
# A row that fails is dropped and counted, and changes nothing for the next one. A row is in one
# sample: suspicious where it has a reason, else random.
class CaptureObserver:
    """Keeps a random and a suspicious sample of the answered rows.

    Args:
        settings: which, and how many.
        store: keeps them.
        redact: is shown each row first; None writes it as it is.
        counts: of rows.
        tell: told of the first failure with its reason, and with an empty text when it ended.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        store: CaptureStore,
        redact: Redact | None,
        counts: ResultCounts,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._redact = redact
        self._counts = counts
        self._tell = tell
        self._chance = random.Random()  # noqa: S311 - nobody gains by guessing it
        self._facts: dict[tuple[str, int], VersionFacts] = {}
        # Each has one thread that adds to it.
        self._queued_bytes = self._done_bytes = 0
        self._minutes: dict[Sample, tuple[int, int]] = {}
        self._number = 0
        self._is_failing = False
        self._work: SimpleQueue[tuple[Callable[[], None] | None, int]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """What is looked at."""
        return (
            Subscription(VersionChanged, self.follow_version),
            Subscription(InputsAnswered, self.take_answer),
            Subscription(SelfCheckRecord, self.take_check),
        )

    def start(self) -> None:
        """Begins to write what is taken."""
        self._thread.start()

    def close(self) -> None:
        """Writes what waits, for a short while, and ends."""
        self._work.put((None, 0))
        self._thread.join(_LAST_S)

    def follow_version(self, change: VersionChanged) -> None:
        """Knows the labels and the profile of each version."""
        version = change.model, change.version
        if change.new is VersionState.UNLOADED:
            self._facts.pop(version, None)
        else:
            self._facts[version] = change.facts

    def take_answer(self, answered: InputsAnswered) -> None:
        """Looks at the rows of a request, when there is time."""
        record, images = answered.record, answered.images
        rows, confidences = record.rows, record.scores.confidences
        is_random = self._chance.random() < 1 - (1 - self._settings.random_share) ** rows
        is_unsure = bool((confidences < self._settings.low_confidence).any())
        facts = self._facts.get((record.model, record.version), VersionFacts())
        looks_far = self._settings.far_deviations > 0 and facts.profile is not None
        if is_random or is_unsure or looks_far:
            chosen = self._chance.randrange(rows) if is_random else -1
            size_bytes = sum(map(len, images)) + _bytes_of(answered.tensors)
            self._submit(partial(self._look, answered, facts, chosen), size_bytes)

    def take_check(self, check: SelfCheckRecord) -> None:
        """Keeps a row that got another answer beside other rows."""
        if (inputs := check.inputs) is None:
            return
        said: dict[str, Any] = {
            "model": check.model,
            "version": check.version,
            "request_id": check.request_id,
            "reasons": ["self_check"],
            "greatest_difference": check.greatest_difference,
        }
        self._submit(partial(self._keep_tensors, said, inputs, 0), _bytes_of(inputs))

    def _submit(self, work: Callable[[], None], size_bytes: int) -> None:
        """Has work done on the thread, unless too much waits."""
        if self._queued_bytes - self._done_bytes + size_bytes > self._settings.max_queued_bytes:
            self._counts.add("queue_full")
            return
        self._queued_bytes += size_bytes
        self._work.put((work, size_bytes))

    def _run(self) -> None:
        """The thread: what is old goes at once, and in time also where nobody asks anything."""
        self._work.put((self._tidy, 0))
        while True:
            try:
                work, size_bytes = self._work.get(timeout=_TIDY_EVERY_S)
            except Empty:
                work, size_bytes = self._tidy, 0
            if work is None:
                return
            try:
                work()
            except Exception as failure:  # noqa: BLE001 - no row stops the next one
                self._counts.add("failed")
                self._note(_reason(failure))
            self._done_bytes += size_bytes

    def _tidy(self) -> None:
        self._store.tidy(epoch_ns() / 1e9)

    def _look(self, answered: InputsAnswered, facts: VersionFacts, random_row: int) -> None:
        record = answered.record
        profile = None if facts.profile is None else facts.profile.profile
        for row, signals in enumerate(row_signals(record)):
            reasons = []
            if record.scores.confidences[row] < self._settings.low_confidence:
                reasons.append("low_confidence")
            far = far_signals(signals, profile, self._settings.far_deviations)
            reasons += [f"far:{name}" for name in far]
            if not reasons and row != random_row:
                continue
            said = _said(record, row, facts.class_labels, signals, reasons)
            if answered.tensors is not None:
                self._keep_tensors(said, answered.tensors, row)
            else:
                image = answered.images[row]
                self._keep(said, image.__bytes__, _suffix(image))

    def _keep_tensors(self, said: dict[str, Any], tensors: Tensors, row: int) -> None:
        self._keep(said, lambda: _npz(tensors, row), ".npz")

    def _keep(self, said: dict[str, Any], content: Callable[[], bytes], suffix: str) -> None:
        sample: Sample = "suspicious" if said["reasons"] else "random"
        now_ns = epoch_ns()
        if not self._has_room(sample, now_ns):
            self._counts.add("rate")
            return
        allowed = redacted(self._redact, {**said, "sample": sample}, content())
        if allowed is None:
            self._counts.add("redacted")
            return
        self._number += 1
        id_ = capture_id(now_ns, self._number)
        self._store.keep(CapturedRow(allowed[0], allowed[1], suffix), id_, now_ns / 1e9)
        self._counts.add("kept")
        self._note("")

    def _has_room(self, sample: Sample, now_ns: int) -> bool:
        minute, kept = now_ns // _MINUTE_NS, 0
        if self._minutes.get(sample, (-1, 0))[0] == minute:
            kept = self._minutes[sample][1]
        self._minutes[sample] = (minute, kept + 1)
        return kept < self._settings.max_per_minute

    def _note(self, reason: str) -> None:
        if bool(reason) is not self._is_failing:
            self._is_failing = bool(reason)
            self._tell(reason)


_MINUTE_NS: Final = 60_000_000_000
_TIDY_EVERY_S: Final = 60.0
_LAST_S: Final = 2.0


def _said(
    record: PredictionRecord,
    row: int,
    labels: Sequence[str],
    signals: dict[str, float],
    reasons: list[str],
) -> dict[str, Any]:
    return {
        "model": record.model,
        "version": record.version,
        "request_id": record.request_id,
        "row": row,
        "reasons": reasons,
        "answer": answer_of(record, row, labels),
        "signals": signals,
    }


def _npz(tensors: Tensors, row: int) -> bytes:
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: array[row : row + 1] for name, array in tensors.items()}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _suffix(image: bytes) -> str:
    return f".{FORMAT_BY_FIRST_BYTE.get(image[0], 'bin')}"


def _bytes_of(tensors: Tensors | None) -> int:
    return sum(array.nbytes for array in (tensors or {}).values())


def _reason(failure: Exception) -> str:
    if isinstance(failure, RedactionFailed):
        return str(failure)
    return f"{type(failure).__name__}: {getattr(failure, 'strerror', None) or failure}"
