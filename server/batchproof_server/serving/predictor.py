"""The use case: from one request to its answer. Knows no transport."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar

import numpy as np

from batchproof_server.base.clock import Clock
from batchproof_server.base.end_of_turn import EndOfTurn
from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.events import (
    InputsAnswered,
    Observer,
    PredictionRecord,
    RequestsScored,
    ViewsRecord,
)
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Tensors
from batchproof_server.drift.far_rows import FarRows
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.early_exit import predict_with_early_exit
from batchproof_server.serving.off_loop import OffLoop
from batchproof_server.serving.request import Prediction, PredictRequest, Refusal, RequestLimits
from batchproof_server.serving.rounds import (
    ModelOutputs,
    Rounds,
    check_and_measure,
    statistics_of,
)
from batchproof_server.tta.combining import Augmentation, answer, row_results, view_probabilities
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult, row_result

Result = TypeVar("Result")
# From model, version and scores to the handle of each row.
SealRows: TypeAlias = Callable[[str, int, Scores], tuple[bytes, ...]]


# Contract of the predictor
#
# The answer to a row depends on the row and the model version alone: not on the other rows of the
# request, on other requests, on how a large request was sliced, or on the load. Everything that can
# be refused is refused before it reaches a queue. Cancelling a call leaves nothing behind. A plain
# request is a plan of one view and takes the same road as every other.
class Predictor:
    """Answers requests. Lives on the loop thread.

    Args:
        limits: what one request may ask for.
        off_loop: turns pictures into input rows, and does what is large.
        clock: for deadlines.
        observer: told of scores, and of requests that are shed while their pictures are decoded.
        seal_rows: makes the handles of an answer; None where nobody takes outcomes.
        tells_inputs: whether the observer is told what was asked, too.
    """

    def __init__(
        self,
        limits: RequestLimits,
        off_loop: OffLoop,
        clock: Clock,
        observer: Observer,
        *,
        seal_rows: SealRows | None = None,
        tells_inputs: bool = False,
    ) -> None:
        self._seal_rows = seal_rows
        self._tells_inputs = tells_inputs
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._scored = EndOfTurn(self._tell)
        self._off_loop = off_loop
        self._rounds = Rounds(off_loop, clock, observer)

    def deadline_s(self, timeout_s: float | None) -> float:
        """The instant until which a request that arrives now is worth answering."""
        limit_s = self._limits.max_timeout_s
        return self._clock.now_s() + (limit_s if timeout_s is None else min(timeout_s, limit_s))

    async def predict(self, request: PredictRequest) -> Prediction:
        """Answers one request.

        Raises:
            InvalidInput: the model takes tensors only, or a picture, a tensor, the number of rows
                or views is refused.
            QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
        """
        spans = request.trace.spans
        if spans is not None:
            spans.asked_s = self._clock.now_s()
        if request.tensors is not None:
            prediction, inputs = await self._predict_tensors(request, request.tensors)
        else:
            prediction, inputs = await self._predict_pictures(request)
        scores = prediction.scores
        if scores is not None:
            if self._seal_rows is not None:
                prediction = await self._sealed(prediction, scores, self._seal_rows)
            self._scored.add((request, _record(request, prediction, scores, inputs)))
        if spans is not None:
            spans.answered_s = self._clock.now_s()
        return prediction

    async def _sealed(
        self, prediction: Prediction, scores: Scores, seal_rows: SealRows
    ) -> Prediction:
        work = partial(seal_rows, prediction.model.name, prediction.model.version, scores)
        values = scores.probabilities.size + _VALUES_OF_A_SEAL * len(scores.decided)
        handles = await self._off_loop.run(work, values=values)
        # Not ``replace``, which looks for each field by its name: every answer comes by here.
        return Prediction(
            prediction.model,
            scores,
            prediction.outputs,
            prediction.executions,
            prediction.augmentation,
            handles,
            prediction.answers_non_finite,
            prediction.far,
        )

    async def predict_each(self, requests: Sequence[PredictRequest]) -> list[Prediction | Refusal]:
        """Answers several requests together, in their order; one that fails spoils no other."""
        return list(await asyncio.gather(*map(self._predict_or_refuse, requests)))

    async def _predict_or_refuse(self, request: PredictRequest) -> Prediction | Refusal:
        try:
            return await self.predict(request)
        except ServingError as error:
            return Refusal(error)

    async def _predict_pictures(
        self, request: PredictRequest
    ) -> tuple[Prediction, InputStatistics | None]:
        rows, plan, model = len(request.images), request.plan, request.model
        model.expansion  # noqa: B018 - without a recipe it says so
        check_rows(model, rows)
        if request.names_views:
            _check_views(request, rows)
        if plan.early_exit is not None and not plan.is_plain:
            return await predict_with_early_exit(self._rounds, request)
        model.batcher.check_room(rows * len(plan.views), request.deadline_s, request.caller.peer)
        pictures = await self._rounds.decode(request, plan)
        inputs = statistics_of(pictures)
        executed = await self._rounds.execute(
            request, await self._rounds.stack(request, pictures), rows * len(plan.views)
        )
        if plan.is_plain:
            return await self._score(request, executed, rows), inputs
        return await self._aggregate(request, executed, rows), inputs

    async def _predict_tensors(
        self, request: PredictRequest, tensors: Tensors
    ) -> tuple[Prediction, InputStatistics | None]:
        rows = request.model.loaded.backend.signature.check(tensors)
        check_rows(request.model, rows)
        inputs = await self._read(request, tensors)
        executed = await self._rounds.execute(request, tensors, rows)
        usual, far = request.model.usual_means, None
        if usual is not None and inputs is not None:
            # Usual rows are told here, so that their road has no file more, and by Python's own
            # numbers, which are quicker for few rows. A NaN that comes first is all that min and
            # max find, and is not within any limits; elsewhere they pass over it.
            (lowest, highest), means = usual.limits, inputs.tensor_means.tolist()
            if not (lowest <= min(means) and max(means) <= highest):
                far = usual.far(means)
        return await self._score(request, executed, rows, far), inputs

    async def _read(self, request: PredictRequest, tensors: Tensors) -> InputStatistics | None:
        """Checks every element; large tensors are read off the loop, which has others to serve."""
        size_bytes = 0
        for array in tensors.values():
            size_bytes += array.nbytes
        read = partial(check_and_measure, request.model, tensors)
        if size_bytes <= _READ_HERE_BYTES:
            return read()
        return await self._off_loop.run(read, read_bytes=size_bytes)

    async def _score(
        self,
        request: PredictRequest,
        executed: ModelOutputs,
        rows: int,
        far: FarRows | None = None,
    ) -> Prediction:
        """The answer whose rows are those of the model."""
        scoring, scores = request.model.loaded.scoring, None
        answers_non_finite = request.model.answers_non_finite and request.tensors is not None
        if scoring is not None:
            only = executed.executions[0]
            if only.co_batched is not None and len(executed.executions) == 1:
                scores = only.co_batched.scores(only.place, scoring, self._off_loop.is_quick)
            if scores is None:
                array = executed.outputs[scoring.name]
                score = scoring.score_finite_rows if answers_non_finite else scoring.score
                work = partial(score, array)
                scores = await self._off_loop.run(work, rows=rows, values=array.size)
        augmentation = None
        if request.names_views and scores is not None:
            name_views = partial(_plain_augmentation, request.plan, scores)
            values = scores.probabilities.size
            augmentation = await self._off_loop.run(name_views, rows=rows, values=values)
        return Prediction(
            request.model,
            scores,
            executed.outputs,
            executed.executions,
            augmentation,
            answers_non_finite=answers_non_finite,
            far=far,
        )

    async def _aggregate(
        self, request: PredictRequest, executed: ModelOutputs, rows: int
    ) -> Prediction:
        """The answer whose rows are aggregates of their views."""
        loaded, plan = request.model.loaded, request.plan
        views, plain = len(plan.views), plan.plain or 0

        def aggregate() -> tuple[list[RowResult], Scores, Tensors]:
            plain_outputs = {name: each[plain::views] for name, each in executed.outputs.items()}
            by_view = view_probabilities(executed.outputs, loaded.output, range(rows), plan.views)
            results = row_results(plan, by_view)
            return results, *answer(results, plain_outputs, loaded.output)

        values = executed.outputs[loaded.output.name or ""].size
        results, scores, outputs = await self._off_loop.run(aggregate, rows=rows, values=values)
        augmentation = Augmentation(plan, tuple(results), loaded.tta.warnings(plan.views))
        return Prediction(request.model, scores, outputs, executed.executions, augmentation)

    async def read(self, work: Callable[[], Result], size_bytes: int) -> Result:
        """What ``work`` makes of a message; off the loop thread if that is large."""
        return await self._off_loop.run(work, read_bytes=size_bytes)

    async def write(self, prediction: Prediction, work: Callable[[], Result]) -> Result:
        """What ``work`` makes of a prediction; off the loop thread if that is large."""
        rows = values = 0
        for output in prediction.outputs.values():
            rows, values = len(output), values + output.size
        for result in prediction.augmentation.results if prediction.augmentation else ():
            values += result.view_probabilities.size
        return await self._off_loop.run(work, rows=rows, values=values)

    def _tell(self, answered: Sequence[tuple[PredictRequest, PredictionRecord]]) -> None:
        self._observer.notify(RequestsScored([record for _, record in answered]))
        if self._tells_inputs:
            for request, record in answered:
                self._observer.notify(InputsAnswered(record, request.images, request.tensors))


# Sealing a row takes as long as scoring so many numbers.
_VALUES_OF_A_SEAL: Final = 32
_READ_HERE_BYTES: Final = 1 << 20


def check_rows(model: ServedModel, rows: int) -> None:
    """Returns when a request may have so many rows.

    Raises:
        InvalidInput: it has none, or more than the model's limit.
    """
    if rows == 0:
        raise InvalidInput("the request has 0 rows, expected 1 or more")
    if rows > model.max_request_rows:
        raise InvalidInput(
            f"the request has {rows} rows, expected at most {model.max_request_rows}"
        )


def _check_views(request: PredictRequest, rows: int) -> None:
    model, views = request.model, len(request.plan.views)
    if model.loaded.output.kind == "raw":
        raise InvalidInput(
            f'options.tta: the output of model "{model.name}" is raw, it has no classes'
        )
    if rows * views > model.max_request_views:
        raise InvalidInput(
            f"options.tta: {rows} row(s) of {views} views are {rows * views}, expected at most "
            f"{model.max_request_views} rows x views"
        )


def _plain_augmentation(plan: Plan, scores: Scores) -> Augmentation:
    probabilities = scores.probabilities.astype(np.float64)
    results = (row_result(plan, row[np.newaxis]) for row in probabilities)
    return Augmentation(plan, tuple(results), ())


def _record(
    request: PredictRequest,
    prediction: Prediction,
    scores: Scores,
    inputs: InputStatistics | None,
) -> PredictionRecord:
    augmentation = prediction.augmentation
    return PredictionRecord(
        request.model.name,
        request.model.version,
        request.request_id,
        scores,
        inputs,
        prediction.handles,
        0 if prediction.far is None else prediction.far.rows,
        None if augmentation is None else _views(augmentation),
    )


def _views(augmentation: Augmentation) -> ViewsRecord:
    plan, results = augmentation.plan, augmentation.results
    return ViewsRecord(
        policy=plan.policy,
        policy_digest=plan.digest,
        weights=plan.weights,
        views=sum(len(result.views) for result in results),
        early_exits=sum(result.exited_early for result in results),
        flip_rate=np.array([result.flip_rate for result in results]),
        mutual_information=np.array([result.mutual_information for result in results]),
    )
