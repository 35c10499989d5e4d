"""The use case: which model, recipe, slices, micro-batches, scores. Knows no transport."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final, TypeAlias, TypeVar

import numpy as np
from pydantic import ConfigDict

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.events import Observer, PredictionRecord
from batchproof_server.base.input_statistics import RowInputs
from batchproof_server.base.scores import Scores, score
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.batching.batcher import BatchedRows
from batchproof_server.imaging.decoded import decoded_image, row_inputs
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.augmented import Asked, Augmenting
from batchproof_server.serving.decode_pool import Decoding
from batchproof_server.serving.pictures import PictureIntake, recipe_of
from batchproof_server.serving.slices import submit
from batchproof_server.serving.tensors import check_finite, checked_inputs, tensor_inputs
from batchproof_server.tta.choice import TtaRequest
from batchproof_server.tta.combining import Augmentation
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import row_result

Result = TypeVar("Result")

_QUICK_BYTES: Final = 1 << 20  # read in some tenths of a millisecond


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may ask for.

    Attributes:
        max_request_rows: images or rows of the input tensors; a manifest may lower it.
        max_timeout_s: a request without a deadline, or with a later one, gets this.
        max_request_views: rows times views of one request with test-time augmentation.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_request_rows: int = 256
    max_timeout_s: float = 60.0
    max_request_views: int = 256

    def __post_init__(self) -> None:
        if self.max_request_rows < 1:
            raise ValueError(f"max_request_rows is {self.max_request_rows}, expected 1 or more")
        if self.max_request_views < 1:
            raise ValueError(f"max_request_views is {self.max_request_views}, expected 1 or more")
        if not 0 < self.max_timeout_s < math.inf:
            raise ValueError(f"max_timeout_s is {self.max_timeout_s}, expected a positive number")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one request.

    Attributes:
        scores: of each row, in the request's order; None for a model whose output is raw.
        outputs: every output of the signature as the model gave it, rows on axis 0; of augmented
            rows as ``augmentation.answer`` says.
        executions: the slices of the request, in its order.
        augmentation: what was done to the rows; None where nothing was, and nothing was asked for.
    """

    model: ServedModel
    scores: Scores | None
    outputs: Tensors
    executions: tuple[BatchedRows, ...]
    augmentation: Augmentation | None = None

    @property
    def rows(self) -> int:
        """Of the request."""
        return len(next(iter(self.outputs.values())))

    @property
    def values(self) -> int:
        """Of all outputs and views."""
        results = self.augmentation.results if self.augmentation else ()
        views = sum(result.view_probabilities.size for result in results)
        return views + sum(output.size for output in self.outputs.values())


# What was seen of the rows before the model; asked for once they are answered.
Seen: TypeAlias = Callable[[], RowInputs | None]


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
        self._clock = clock
        self._observer = observer
        self._intake = PictureIntake(decoding, clock, observer)
        self._augmenting = Augmenting(self._intake)

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
        *,
        tta: TtaRequest | None = None,
    ) -> Prediction:
        """Answers encoded pictures, each one row.

        Args:
            model: which version.
            images: encoded.
            deadline_s: an instant of the clock.
            request_id: names the request should a self-check find its answer wrong.
            tta: what the request says about augmentation; None leaves it to the manifest.

        Raises:
            InvalidInput: the model takes tensors only, or a picture, the number, or what is said
                about augmentation is refused.
            QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
        """
        recipe = recipe_of(model)
        self.check_rows(model, len(images))
        plan = model.loaded.tta.plan(tta)
        if tta is not None or not plan.is_plain:
            _check_views(model, len(images), len(plan.views))
        if not plan.is_plain:
            asked = Asked(model, images, plan, deadline_s, request_id)
            return await self._augmented(asked)
        model.batcher.check_room(len(images), deadline_s)
        rows, inputs = await self._rows(model, recipe, images, deadline_s)
        name = model.loaded.backend.signature.inputs[0].name
        count, parts = len(rows), [row[np.newaxis] for row in rows]
        tensors = {name: await self._intake.stacked(parts)}
        prediction = await self._predict(model, tensors, count, deadline_s, request_id)
        if tta is not None and prediction.scores is not None:
            work = partial(_plain_augmentation, plan, prediction.scores)
            prediction = replace(prediction, augmentation=await self.finished(prediction, work))
        return self._told(prediction, request_id, lambda: inputs)

    async def _rows(
        self, model: ServedModel, recipe: Recipe, images: Sequence[bytes], deadline_s: float
    ) -> tuple[list[Array], RowInputs | None]:
        """The rows, and what was seen of them where a profile wants it."""
        if model.loaded.profile is None:
            rows = await self._intake.decoded(model, images, deadline_s, recipe.apply)
            return rows, None
        look = partial(decoded_image, recipe)
        seen = await self._intake.decoded(model, images, deadline_s, look)
        rows = [each.row for each in seen]
        return rows, row_inputs([each.seen for each in seen])

    async def _augmented(self, asked: Asked) -> Prediction:
        answered = await self._augmenting.predict(asked)
        given = (answered.scores, answered.outputs, answered.executions, answered.augmentation)
        prediction = Prediction(asked.model, *given)
        return self._told(prediction, asked.request_id, lambda: answered.inputs)

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
        seen = await self._read(model, tensors)
        prediction = await self._predict(model, tensors, rows, deadline_s, request_id)
        return self._told(prediction, request_id, seen)

    async def _read(self, model: ServedModel, tensors: Tensors) -> Seen:
        """Checks every element; large tensors are read off the loop, which has others to serve."""
        if sum(array.nbytes for array in tensors.values()) <= _QUICK_BYTES:
            check_finite(tensors)
            return partial(tensor_inputs, model, tensors)
        inputs = await self._intake.off_loop(partial(checked_inputs, model, tensors))
        return lambda: inputs

    async def finished(self, prediction: Prediction, work: Callable[[], Result]) -> Result:
        """What ``work`` makes of a prediction; off the loop thread if that is large."""
        return await self._intake.finished(prediction.rows, prediction.values, work)

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

    async def _predict(
        self, model: ServedModel, tensors: Tensors, rows: int, deadline_s: float, request_id: str
    ) -> Prediction:
        executed = await submit(model, tensors, rows, deadline_s, request_id)
        output, outputs = model.loaded.output, executed.outputs
        scores = None
        if output.kind != "raw" and output.name is not None:
            work = partial(score, outputs[output.name], output.kind)
            scores = await self._intake.finished(rows, outputs[output.name].size, work)
        return Prediction(model, scores, outputs, executed.executions)

    def _told(self, prediction: Prediction, request_id: str, seen: Seen) -> Prediction:
        if prediction.scores is not None:
            # After the answer is on its way: nobody waits for the books.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._tell, prediction, prediction.scores, request_id, seen)
        return prediction

    def _tell(self, prediction: Prediction, scores: Scores, request_id: str, seen: Seen) -> None:
        self._observer.notify(_record(prediction, scores, request_id, seen()))


def _check_views(model: ServedModel, rows: int, views: int) -> None:
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
    prediction: Prediction, scores: Scores, request_id: str, inputs: RowInputs | None
) -> PredictionRecord:
    augmentation = prediction.augmentation
    results = () if augmentation is None else augmentation.results
    return PredictionRecord(
        model=prediction.model.name,
        version=prediction.model.version,
        request_id=request_id,
        probabilities=scores.probabilities,
        logits=scores.logits,
        entropy=scores.entropy,
        margin=scores.margin,
        inputs=inputs,
        policy="" if augmentation is None else augmentation.plan.policy,
        policy_digest="" if augmentation is None else augmentation.plan.digest,
        weights=() if augmentation is None else augmentation.plan.weights,
        views=sum(len(result.views) for result in results),
        early_exits=sum(result.exited_early for result in results),
        flip_rate=np.array([result.flip_rate for result in results]) if results else None,
        mutual_information=(
            np.array([result.mutual_information for result in results]) if results else None
        ),
    )
