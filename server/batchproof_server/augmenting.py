"""The views of a request's pictures: decoded and made off the loop, executed, put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import numpy as np

from batchproof_server.augmentation import (
    Augmentation,
    answer,
    completed_results,
    row_results,
    view_probabilities,
    without_plain,
)
from batchproof_server.batching.batcher import BatchedRows
from batchproof_server.decoding import Work, all_or_none
from batchproof_server.errors import InvalidInput
from batchproof_server.imaging.decoded import row_inputs
from batchproof_server.models.served import ServedModel
from batchproof_server.picture_intake import PictureIntake, expansion_of
from batchproof_server.row_inputs import RowInputs
from batchproof_server.scores import Scores
from batchproof_server.signature import Array, Tensors
from batchproof_server.submission import Executed, submit
from batchproof_server.tta.expansion import Expanded
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult, early_result, is_sure
from batchproof_server.tta.views import IDENTITY

Result = TypeVar("Result")

# Scores of so many values are put together within the loop's turn; more on a decode thread.
_QUICK_VALUES: Final = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Augmented:
    """The answer to a request whose rows were augmented.

    Attributes:
        scores: of the aggregates; without logits.
        outputs: as ``augmentation.answer`` says.
        executions: the slices of all views.
        augmentation: what was done.
        inputs: what was seen of the pictures; None without a profile.
    """

    scores: Scores
    outputs: Tensors
    executions: tuple[BatchedRows, ...]
    augmentation: Augmentation
    inputs: RowInputs | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for augmented answers.

    Attributes:
        model: which version; it has a recipe and scores.
        images: encoded.
        plan: of more than the plain view.
        deadline_s: an instant of the clock.
        request_id: names the request should a self-check find an answer wrong.
    """

    model: ServedModel
    images: Sequence[bytes]
    plan: Plan
    deadline_s: float
    request_id: str


# Contract
#
# The views of all rows enter the queue as rows, at once, all views of the first row first. With
# early exit the plain views go first; the pictures of the rows that are not sure are decoded again
# for the other views, so that no decoded picture is kept while its row waits for the device. The
# answer to a row depends on nothing but the picture, the plan and the model version.
# Nothing that grows with pixels, or with rows times classes, runs on the loop thread.
class Augmenting:
    """Answers pictures with the aggregate of their views. Lives on the loop thread.

    Args:
        intake: decodes.
    """

    def __init__(self, intake: PictureIntake) -> None:
        self._intake = intake

    async def predict(self, asked: Asked) -> Augmented:
        """Answers a request whose numbers of rows and views were checked.

        Raises:
            InvalidInput: a picture or a view of it is refused.
            QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
        """
        if asked.plan.early_exit is None:
            return await self._in_full(asked)
        return await self._with_early_exit(asked)

    async def _in_full(self, asked: Asked) -> Augmented:
        asked.model.batcher.check_room(len(asked.images) * len(asked.plan.views), asked.deadline_s)
        rows = range(len(asked.images))
        executed, inputs = await self._executed(asked, asked.plan, rows)
        views, plain = len(asked.plan.views), asked.plan.plain or 0
        plain_outputs = {name: array[plain::views] for name, array in executed.outputs.items()}

        def settled() -> tuple[list[RowResult], Scores, Tensors]:
            output = asked.model.loaded.output
            by_view = view_probabilities(executed.outputs, output, rows, asked.plan.views)
            results = row_results(asked.plan, by_view)
            return results, *answer(results, plain_outputs, output)

        results, scores, outputs = await self._settle(asked, executed.outputs, settled)
        answered = (scores, outputs, executed.executions)
        return Augmented(*answered, _augmentation(asked, results), inputs)

    async def _with_early_exit(self, asked: Asked) -> Augmented:
        model, plan = asked.model, asked.plan
        model.batcher.check_room(len(asked.images), asked.deadline_s)
        rows = range(len(asked.images))
        first, inputs = await self._executed(asked, Plan(plan.policy, (IDENTITY,)), rows)
        output = model.loaded.output
        plain = await self._settle(
            asked,
            first.outputs,
            lambda: view_probabilities(first.outputs, output, rows, (IDENTITY,))[:, 0],
        )
        unsure = [row for row in rows if not is_sure(plan, plain[row])]
        results: list[RowResult] = [early_result(row) for row in plain]
        executions = first.executions
        if unsure:
            rest = without_plain(plan)
            executed, _ = await self._executed(asked, rest, unsure)
            executions += executed.executions

            def completed() -> list[RowResult]:
                others = view_probabilities(executed.outputs, output, unsure, rest.views)
                return completed_results(plan, plain[unsure], others)

            finished = await self._settle(asked, executed.outputs, completed)
            for row, result in zip(unsure, finished, strict=True):
                results[row] = result
        scores, outputs = await self._settle(
            asked, first.outputs, lambda: answer(results, first.outputs, output)
        )
        return Augmented(scores, outputs, executions, _augmentation(asked, results), inputs)

    async def _executed(
        self, asked: Asked, plan: Plan, rows: Sequence[int]
    ) -> tuple[Executed, RowInputs | None]:
        """The views of some rows, and what was seen of them where a profile wants it."""
        model = asked.model
        is_watched = model.loaded.profile is not None
        work = partial(expansion_of(model).expanded, plan, is_watched=is_watched)
        expanded = await self._expanded(asked, rows, work)
        name = model.loaded.backend.signature.inputs[0].name
        stacked = expanded[0].rows
        if len(expanded) > 1:
            parts = [each.rows for each in expanded]
            stacked = await self._intake.off_loop(partial(_stacked, parts))
        executed = await submit(
            model, {name: stacked}, len(stacked), asked.deadline_s, asked.request_id
        )
        seen = [each.seen for each in expanded if each.seen is not None]
        return executed, row_inputs(seen) if is_watched else None

    async def _expanded(
        self, asked: Asked, rows: Sequence[int], work: Work[Expanded]
    ) -> Sequence[Expanded]:
        if len(rows) == len(asked.images):
            return await self._intake.decoded(asked.model, asked.images, asked.deadline_s, work)
        return await all_or_none(self._expanded_one(asked, row, work) for row in rows)

    async def _expanded_one(self, asked: Asked, row: int, work: Work[Expanded]) -> Expanded:
        image = asked.images[row]
        try:
            (expanded,) = await self._intake.decoded(asked.model, [image], asked.deadline_s, work)
        except InvalidInput as refused:
            raise InvalidInput(f"image {row}: {refused}") from refused
        return expanded

    async def _settle(self, asked: Asked, outputs: Tensors, work: Callable[[], Result]) -> Result:
        if outputs[asked.model.loaded.output.name or ""].size <= _QUICK_VALUES:
            return work()
        return await self._intake.off_loop(work)


def _stacked(expanded: Sequence[Array]) -> Array:
    shapes = sorted({array.shape[1:] for array in expanded})
    if len(shapes) > 1:
        came = " and ".join(str(list(shape)) for shape in shapes[:2])
        raise InvalidInput(
            f"the pictures make rows of {came}; the model takes any size, and the pictures of a "
            "request must have one"
        )
    return np.concatenate(expanded)


def _augmentation(asked: Asked, results: Sequence[RowResult]) -> Augmentation:
    warnings = asked.model.loaded.tta.warnings(asked.plan.views)
    return Augmentation(asked.plan, tuple(results), warnings)
