"""Asks the core for the answers to labelled pictures, and keeps what a profile needs of them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from batchproof_server.base.errors import BackendFailed, InvalidInput
from batchproof_server.base.events import PredictionRecord, RequestsScored, Subscription
from batchproof_server.base.signature import Array
from batchproof_server.drift.recorded import signals_of_records
from batchproof_server.drift.signals import Signals
from batchproof_server.drift.tta_reference import TTA_SIGNALS
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Count, Predict, ask
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.serving.request import NO_DEADLINE_S, PredictRequest
from batchproof_server.tta.plan import PLAIN, Plan

_PICTURES_AHEAD: Final = 64
"""Asked for at the same time, so that some are decoded while others are executed."""


@dataclass(slots=True)
class RecordKeeper:
    """A subscriber that keeps each record until somebody takes it."""

    _records: "dict[str, asyncio.Future[PredictionRecord]]" = field(default_factory=dict)

    def subscriptions(self) -> tuple[Subscription[Any], ...]:
        """The records of predictions alone."""
        return (Subscription(RequestsScored, self._keep),)

    def _keep(self, scored: RequestsScored) -> None:
        for record in scored.records:
            self._coming(record.request_id).set_result(record)

    def _coming(self, request_id: str) -> "asyncio.Future[PredictionRecord]":
        if request_id not in self._records:
            self._records[request_id] = asyncio.get_running_loop().create_future()
        return self._records[request_id]

    async def take(self, request_id: str) -> PredictionRecord:
        """The record of a request that was answered with class scores; it is kept no longer.

        It comes a little later than the answer.
        """
        record = await self._coming(request_id)
        del self._records[request_id]
        return record


# Contract: the signals are those of the records that observers of the server get for the same
# pictures, whose model watches its inputs.
@dataclass(frozen=True, slots=True)
class Answering:
    """Answers pictures with a model, as it is served: by asking what serves it.

    Attributes:
        model: with class scores and a recipe; it watches its inputs.
        predict: answers a request.
        records: observes ``predict``.
        plan: of the test-time augmentation whose signals are wanted too; all others are those of
            the plain answers. None for these alone.
    """

    model: ServedModel
    predict: Predict
    records: RecordKeeper
    plan: Plan | None = None

    async def collect_signals(self, pictures: Sequence[LabelledPicture], count: Count) -> Signals:
        """The signals of every picture, in their order.

        Args:
            pictures: one or more.
            count: learns of the progress.

        Raises:
            InvalidData: pictures that cannot be read or are refused, or whose answer is not finite.
            ServingError: the model failed.
        """
        parts, refused = await self._ask_all(pictures, count)
        if refused:
            raise InvalidData(refused)
        return Signals(
            classes=np.concatenate([part.classes for part in parts]),
            values={
                name: np.concatenate([part.values[name] for part in parts])
                for name in parts[0].values
            },
            log_probabilities=np.concatenate([part.log_probabilities for part in parts]),
            chosen=_joined([part.chosen for part in parts if part.chosen is not None]),
        )

    async def _ask_all(
        self, pictures: Sequence[LabelledPicture], count: Count
    ) -> tuple[list[Signals], list[str]]:
        size = self._request_pictures()
        window = asyncio.Semaphore(self._requests_ahead(size))
        refused: list[str] = []
        done = 0

        async def ask_when_due(start: int) -> Signals | None:
            nonlocal done
            part = pictures[start : start + size]
            async with window:
                signals, faults = await self._ask_part(start, part)
            refused.extend(faults)
            done += len(part)
            count(done)
            return signals

        try:
            async with asyncio.TaskGroup() as group:
                begun = range(0, len(pictures), size)
                tasks = [group.create_task(ask_when_due(at)) for at in begun]
        except ExceptionGroup as failed:
            # When the model failed one request, the others were refused because of that.
            causes = (each for each in failed.exceptions if isinstance(each, BackendFailed))
            raise next(causes, failed.exceptions[0]) from failed
        found = [task.result() for task in tasks]
        return [signals for signals in found if signals is not None], sorted(refused)

    def _request_pictures(self) -> int:
        """Pictures of one request: a whole micro-batch, unless each may have a size of its own."""
        model = self.model
        if None in model.loaded.backend.signature.inputs[0].row_shape:
            return 1
        views = 1 if self.plan is None else len(self.plan.views)
        largest = min(model.batcher.max_batch_rows, model.max_request_rows)
        return max(1, min(largest, model.max_request_views // views))

    def _requests_ahead(self, size: int) -> int:
        """How many requests may be under way: what the queue refused would be asked for again."""
        rows = size * (1 if self.plan is None else len(self.plan.views))
        queued = self.model.batcher.settings.max_queued_rows // rows
        return max(1, min(_PICTURES_AHEAD // size, queued))

    async def _ask_part(
        self, start: int, part: Sequence[LabelledPicture]
    ) -> tuple[Signals | None, list[str]]:
        images: list[bytes] = []
        faults: list[str] = []
        for picture in part:
            try:
                images.append(picture.read())
            except OSError as fault:
                faults.append(f"{picture.name}: cannot be read ({fault.strerror})")
        if faults:
            return None, faults
        try:
            return await self._ask_images(str(start), images), []
        except InvalidInput as refused:
            if len(part) == 1:
                return None, [f"{part[0].name}: {refused}"]
        # One of several was refused: asked for alone, each is named that is.
        alone = [await self._ask_part(start + place, [one]) for place, one in enumerate(part)]
        return None, [fault for _, named in alone for fault in named]

    async def _ask_images(self, request_id: str, images: Sequence[bytes]) -> Signals:
        record = await self._ask(request_id, images, PLAIN)
        signals, _ = signals_of_records([record])
        if self.plan is None:
            return signals
        augmented = await self._ask(f"{request_id}+views", images, self.plan)
        values = {**signals.values, **dict(_disagreement(augmented))}
        return replace(signals, values=values)

    async def _ask(self, request_id: str, images: Sequence[bytes], plan: Plan) -> PredictionRecord:
        request = PredictRequest(
            self.model,
            NO_DEADLINE_S,
            images=images,
            plan=plan,
            names_views=not plan.is_plain,
            request_id=request_id,
        )
        await ask(self.predict, request)
        return await self.records.take(request_id)


def _joined(parts: Sequence[Array]) -> Array | None:
    return np.concatenate(parts) if parts else None


def _disagreement(record: PredictionRecord) -> Iterator[tuple[str, Array]]:
    if (views := record.augmented) is not None:
        yield from zip(TTA_SIGNALS, (views.flip_rate, views.mutual_information), strict=True)
