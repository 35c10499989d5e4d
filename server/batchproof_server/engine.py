"""The use case: which model, recipe, slices, micro-batches, scores. Knows no transport."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from batchproof_server.batching.batcher import BatchedRows
from batchproof_server.clock import Clock
from batchproof_server.decoding import Decoding, Result, Work, all_or_none
from batchproof_server.errors import DeadlineExceeded, InvalidInput, QueueFull
from batchproof_server.imaging.decoded import decoded_image, tensor_mean
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.served import ServedModel
from batchproof_server.scores import Scores, score
from batchproof_server.signature import Array, Tensors
from batchproof_server.telemetry import INPUT_SIGNALS, Observer, PredictionRecord, ShedRecord
from batchproof_server.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may ask for.

    Attributes:
        max_request_rows: images or rows of the input tensors; a manifest may lower it.
        max_timeout_s: a request without a deadline, or with a later one, gets this.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_request_rows: int = 256
    max_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.max_request_rows < 1:
            raise ValueError(f"max_request_rows is {self.max_request_rows}, expected 1 or more")
        if not 0 < self.max_timeout_s < math.inf:
            raise ValueError(f"max_timeout_s is {self.max_timeout_s}, expected a positive number")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one request.

    Attributes:
        scores: of each row, in the request's order; None for a model whose output is raw.
        outputs: every output of the signature as the model gave it, rows on axis 0.
        executions: the slices of the request, in its order.
    """

    model: ServedModel
    scores: Scores | None
    outputs: Tensors
    executions: tuple[BatchedRows, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """What goes with the tensors of one request."""

    rows: int
    deadline_s: float
    request_id: str
    inputs: Array | None


# Contract of the engine
#
# The answer to a row depends on the row and the model version alone: not on the other rows of the
# request, on other requests, on how a large request was sliced, or on the load. Everything that can
# be refused is refused before it reaches a queue. Cancelling a call leaves nothing behind.
class Engine:
    """Answers requests. Lives on the loop thread.

    Args:
        limits: what one request may ask for.
        decoding: turns pictures into input rows.
        clock: for deadlines.
        observer: told of scores, and of requests that are shed while their pictures are decoded.
    """

    def __init__(
        self, limits: RequestLimits, decoding: Decoding, clock: Clock, observer: Observer
    ) -> None:
        self._limits = limits
        self._decoding = decoding
        self._clock = clock
        self._observer = observer

    def deadline_s(self, timeout_s: float | None) -> float:
        """The instant until which a request that arrives now is worth answering."""
        limit_s = self._limits.max_timeout_s
        return self._clock.now_s() + (limit_s if timeout_s is None else min(timeout_s, limit_s))

    async def predict_images(
        self,
        model: ServedModel,
        images: Sequence[bytes],
        deadline_s: float,
        request_id: str = "",
    ) -> Prediction:
        """Answers encoded pictures, each one row.

        Args:
            model: which version.
            images: encoded.
            deadline_s: an instant of the clock.
            request_id: names the request should a self-check find its answer wrong.

        Raises:
            InvalidInput: the model takes tensors only, or a picture or the number is refused.
            QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
        """
        recipe = model.loaded.recipe
        if recipe is None:
            raise InvalidInput(
                f'model "{model.name}" has no recipe for images, expected input tensors'
            )
        self.check_rows(model, len(images))
        model.batcher.check_room(len(images), deadline_s)
        if model.loaded.profile is None:
            rows = await self._decoded(model, recipe, images, deadline_s, recipe.apply)
            inputs = None
        else:
            look = partial(decoded_image, recipe)
            seen = await self._decoded(model, recipe, images, deadline_s, look)
            rows = [each.row for each in seen]
            inputs = np.array([each.properties for each in seen])
        name = model.loaded.backend.signature.inputs[0].name
        stacked = rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)
        request = _Request(len(rows), deadline_s, request_id, inputs)
        return await self._predict(model, {name: stacked}, request)

    async def _decoded(
        self,
        model: ServedModel,
        recipe: Recipe,
        images: Sequence[bytes],
        deadline_s: float,
        work: Work[Result],
    ) -> list[Result]:
        try:
            rows = await self._decoding.decode(recipe, images, work)
        except QueueFull:
            self._observer.request_shed(ShedRecord(model.name, model.version, "decode_budget"))
            raise
        if self._clock.now_s() >= deadline_s:
            self._observer.request_shed(ShedRecord(model.name, model.version, "deadline"))
            raise DeadlineExceeded("the deadline passed while the picture was decoded")
        return rows

    async def predict_tensors(
        self, model: ServedModel, tensors: Tensors, deadline_s: float, request_id: str = ""
    ) -> Prediction:
        """Answers input tensors, rows on axis 0.

        Args:
            model: which version.
            tensors: by the names of the signature.
            deadline_s: an instant of the clock.
            request_id: names the request should a self-check find its answer wrong.

        Raises:
            InvalidInput: the tensors do not fit the signature or are not finite.
            QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
        """
        rows = model.loaded.backend.signature.check(tensors)
        self.check_rows(model, rows)
        for name, array in tensors.items():
            _check_finite(name, array)
        inputs = None if model.loaded.profile is None else _tensor_inputs(model, tensors)
        request = _Request(rows, deadline_s, request_id, inputs)
        return await self._predict(model, tensors, request)

    def check_rows(self, model: ServedModel, rows: int) -> None:
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

    async def _predict(self, model: ServedModel, tensors: Tensors, request: _Request) -> Prediction:
        largest = model.loaded.batching.max_batch_rows
        rows, deadline_s, request_id = request.rows, request.deadline_s, request.request_id
        if rows <= largest:
            executions: tuple[BatchedRows, ...] = (
                await model.batcher.submit(tensors, rows, deadline_s, request_id),
            )
        else:
            model.batcher.check_room(rows, deadline_s)
            executions = await all_or_none(
                model.batcher.submit(part, count, deadline_s, request_id)
                for part, count in _slices(tensors, rows, largest)
            )
        prediction = _prediction(model, executions)
        if prediction.scores is not None:
            self._observer.predicted(_record(model, prediction.scores, request))
        return prediction


def _record(model: ServedModel, scores: Scores, request: _Request) -> PredictionRecord:
    return PredictionRecord(
        model=model.name,
        version=model.version,
        request_id=request.request_id,
        probabilities=scores.probabilities,
        logits=scores.logits,
        entropy=scores.entropy,
        margin=scores.margin,
        inputs=request.inputs,
    )


def _tensor_inputs(model: ServedModel, tensors: Tensors) -> Array:
    """Of rows that came as tensors only their mean is known; the profile is of the one input."""
    array = tensors[model.loaded.backend.signature.inputs[0].name]
    inputs = np.full((len(array), len(INPUT_SIGNALS)), np.nan)
    inputs[:, INPUT_SIGNALS.index("tensor_mean")] = [tensor_mean(row) for row in array]
    return inputs


def _check_finite(name: str, array: Array) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        return
    # The extremes are finite exactly when all are (NaN spreads through both), and cost no copy.
    if np.isfinite(array.min(initial=0)) and np.isfinite(array.max(initial=0)):
        return
    row = int(np.argwhere(~np.isfinite(array))[0][0])
    raise InvalidInput(f'input "{name}" holds NaN or infinity in row {row}, expected finite values')


def _slices(tensors: Tensors, rows: int, largest: int) -> Iterator[tuple[Tensors, int]]:
    for start in range(0, rows, largest):
        stop = min(start + largest, rows)
        yield {name: array[start:stop] for name, array in tensors.items()}, stop - start


def _prediction(model: ServedModel, executions: tuple[BatchedRows, ...]) -> Prediction:
    output = model.loaded.output
    outputs = {
        spec.name: _joined([execution.outputs[spec.name] for execution in executions])
        for spec in model.loaded.backend.signature.outputs
    }
    if output.kind == "raw" or output.name is None:
        return Prediction(model, None, outputs, executions)
    return Prediction(model, score(outputs[output.name], output.kind), outputs, executions)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
