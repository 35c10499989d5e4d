"""Diagnoses that callers ask a server for: one at a time, behind everything else."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from batchproof_server.base.clock import Alarm, Clock
from batchproof_server.base.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotImplementedYet,
    QueueFull,
)
from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import Given
from batchproof_server.diagnosis.document import diagnoses_json
from batchproof_server.diagnosis.page import page
from batchproof_server.diagnosis.text import diagnosis_text
from batchproof_server.diagnosis.verdict import CHECKS, Diagnosis, answer_of, concluded
from batchproof_server.models.served import ServedModel
from batchproof_server.models.versions import Versions
from batchproof_server.offline.datasets.pictures import InvalidData
from batchproof_server.offline.diagnosing.given import checked_scores, checked_tensor, class_of
from batchproof_server.offline.diagnosing.idle import IdleTurns
from batchproof_server.offline.diagnosing.measuring import Measurer
from batchproof_server.offline.diagnosing.opening import open_measurer
from batchproof_server.offline.diagnosing.settings import DiagnosisSettings

REMEMBERED_S: Final = 60.0
_RETRY_AFTER_S: Final = 5.0
_NO_MODES: Final = (
    "Keras: not asked, a server runs no model in training mode; `batchproof-server diagnose` does"
)


@dataclass(frozen=True, slots=True, eq=False)
class PictureQuestion:
    """What a caller wants to know about one picture, not checked yet.

    Attributes:
        name: of the picture, in the report.
        encoded: the picture.
        label: the true class, or its index; empty where nobody said.
        tensor: the caller's own, or None.
        scores: the caller's own, or None.
        wants_page: whether to write the HTML page.
        timeout_s: what is left of the caller's time; None when there is no limit.
    """

    name: str
    encoded: bytes
    label: str
    tensor: Array | None
    scores: Array | None
    wants_page: bool
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """A diagnosis in every form that was asked for; the page is empty where it was not."""

    diagnosis: Diagnosis
    text: str
    json: str
    page: str


# Contract: lives on the loop thread. The reference pictures of the version that was diagnosed last
# are remembered with what was measured of them, and those of no other, for REMEMBERED_S after its
# last diagnosis: a version that is gone keeps no memory.
class DiagnosisDesk:
    """Diagnoses pictures for callers.

    Args:
        versions: that answer.
        settings: how much.
        clock: for waiting.
        requests_under_way: how many requests are being answered, diagnoses among them.
    """

    def __init__(
        self,
        versions: Versions,
        settings: DiagnosisSettings,
        clock: Clock,
        requests_under_way: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._under_way = 0
        self._turn = asyncio.Lock()
        self._measured: tuple[ServedModel, Measurer] | None = None
        self._clock = clock
        self._last_s = 0.0
        self._forgetting = Alarm(clock, self._forget)
        self._idle = IdleTurns(versions, clock, lambda: requests_under_way() <= self._under_way)

    async def report(self, served: ServedModel, asked: PictureQuestion) -> Report:
        """Diagnoses one picture, within the limit and behind everything else.

        Raises:
            NotImplementedYet: this server makes none.
            QueueFull: as many as may be are under way.
            InvalidInput: the picture or what came with it cannot be used, or the model has no
                recipe, or no classes that exclude each other.
            DeadlineExceeded: it was not done in time.
            ModelRefused: what the bundle says of the training cannot be used.
            ServingError: the model failed, or goes away.
        """
        limit_s = self._settings.time_limit_s
        if asked.timeout_s is not None:
            limit_s = min(limit_s, asked.timeout_s)
        with self._counted():
            try:
                async with asyncio.timeout(limit_s), self._turn:
                    return await self._report(served, asked)
            except TimeoutError as late:
                raise DeadlineExceeded(f"the diagnosis was not done in {limit_s:.3g} s") from late
            except InvalidData as unusable:
                raise InvalidInput(str(unusable)) from unusable

    def close(self) -> None:
        """Begins nothing any more."""
        self._forgetting.cancel()
        self._idle.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        limit = self._settings.max_under_way
        if not limit:
            raise NotImplementedYet("this server makes no diagnoses ([diagnosis] max_under_way)")
        if self._under_way >= limit:
            raise QueueFull(f"{limit} diagnoses are under way already", _RETRY_AFTER_S)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _report(self, served: ServedModel, asked: PictureQuestion) -> Report:
        try:
            measurer = await self._measurer(served)
            given = _given(served, measurer, asked)
            case = await measurer.measure(asked.name, asked.encoded, given)
        finally:
            self._last_s = self._clock.now_s()
            self._forgetting.ring_by(self._last_s + REMEMBERED_S)
        run = self._idle.run
        answered = [await run(partial(answer_of, check, case)) for check in CHECKS]
        diagnosis = concluded(case, answered)
        text = await run(partial(diagnosis_text, diagnosis))
        written = await run(partial(diagnoses_json, (diagnosis,), ()))
        shown = await run(partial(page, (diagnosis,), ())) if asked.wants_page else ""
        return Report(diagnosis, text, written, shown)

    def _forget(self) -> None:
        until_s = self._last_s + REMEMBERED_S
        if self._turn.locked() or self._clock.now_s() < until_s:
            self._forgetting.ring_by(max(until_s, self._clock.now_s() + REMEMBERED_S))
        else:
            self._measured = None

    async def _measurer(self, served: ServedModel) -> Measurer:
        if self._measured is None or self._measured[0] is not served:
            self._measured = None
            artefact = served.loaded.bundle.artefact
            directory = artefact if artefact.is_dir() else artefact.parent
            asker = self._idle.asker(served)
            measurer = await open_measurer(asker, directory, _NO_MODES)
            self._measured = (served, measurer)
        return self._measured[1]


def _given(served: ServedModel, measurer: Measurer, asked: PictureQuestion) -> Given:
    labels, spec = measurer.subject.labels, served.loaded.backend.signature.inputs[0]
    tensor, scores = asked.tensor, asked.scores
    try:
        return Given(
            label=class_of(asked.label, labels) if asked.label else None,
            tensor=None if tensor is None else checked_tensor(tensor, "tensor", spec),
            scores=None if scores is None else checked_scores(scores, "scores", labels),
        )
    except ValueError as unusable:
        raise InvalidInput(str(unusable)) from unusable
