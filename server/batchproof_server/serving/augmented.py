"""The views of a request's pictures: decoded and made off the loop, executed, put together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.input_statistics import RowInputs
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.batching.replies import BatchedRows
from batchproof_server.imaging.decoded import Seen, row_inputs
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.decode_pool import all_or_none
from batchproof_server.serving.kept_pictures import KeptPictures
from batchproof_server.serving.pictures import PictureIntake, expansion_of
from batchproof_server.serving.slices import Executed, submit
from batchproof_server.tta.combining import (
    Augmentation,
    answer,
    completed_results,
    row_results,
    view_probabilities,
    without_plain,
)
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult, early_result, is_sure
from batchproof_server.tta.views import IDENTITY

Result = TypeVar("Result")


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


@dataclass(frozen=True, slots=True, eq=False)
class _Expanded:
    """What a decode thread made of one picture.

    Attributes:
        rows: of its views [views, *row shape].
        seen: of it, if that is wanted.
        kept: where the picture is kept; None where it is not.
    """

    rows: Array
    seen: Seen | None
    kept: int | None = None


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

    @property
    def is_watched(self) -> bool:
        """Whether a profile wants to know what was seen of the pictures."""
        return self.model.loaded.profile is not None


# Contract
#
# The views of all rows enter the queue as rows, at once, all views of the first row first. With
# early exit the plain views go first; meanwhile the pictures are kept for the other views, as far
# as their budget goes, and decoded again where it is used up. The answer to a row depends on
# nothing but the picture, the plan and the model version.
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
        with self._intake.keeping() as kept:
            return await self._with_early_exit(asked, kept)

    async def _in_full(self, asked: Asked) -> Augmented:
        asked.model.batcher.check_room(len(asked.images) * len(asked.plan.views), asked.deadline_s)
        rows = range(len(asked.images))
        expanded = await self._decoded(asked, asked.plan)
        inputs = _inputs(asked, expanded)
        executed = await self._executed(asked, expanded)
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

    async def _with_early_exit(self, asked: Asked, kept: KeptPictures) -> Augmented:
        asked.model.batcher.check_room(len(asked.images), asked.deadline_s)
        rows = range(len(asked.images))
        expanded = await self._decoded(asked, Plan(asked.plan.policy, (IDENTITY,)), kept)
        inputs, places = _inputs(asked, expanded), [each.kept for each in expanded]
        first = await self._executed(asked, expanded)
        plain, results, is_unsure = await self._settle(
            asked, first.outputs, partial(_plain_results, asked, first.outputs)
        )
        executions = first.executions
        unsure = {row: places[row] for row in rows if is_unsure[row]}
        kept.drop_all_but(unsure.values())
        if unsure:
            more, finished = await self._rest(asked, unsure, plain, kept)
            executions += more.executions
            for row, result in zip(unsure, finished, strict=True):
                results[row] = result
        scores, outputs = await self._settle(
            asked,
            first.outputs,
            lambda: answer(results, first.outputs, asked.model.loaded.output),
        )
        return Augmented(scores, outputs, executions, _augmentation(asked, results), inputs)

    async def _rest(
        self, asked: Asked, unsure: Mapping[int, int | None], plain: Array, kept: KeptPictures
    ) -> tuple[Executed, list[RowResult]]:
        """The other views of the rows that are not sure, and what all their views came to.

        Args:
            asked: the request.
            unsure: the numbers of the rows, and where their pictures are kept.
            plain: the probabilities of all rows' plain views.
            kept: holds the pictures.
        """
        rows, rest = list(unsure), without_plain(asked.plan)
        expanded = await all_or_none(
            self._expanded_rest(asked, rest, row, place, kept) for row, place in unsure.items()
        )
        executed = await self._executed(asked, list(expanded))

        def completed() -> list[RowResult]:
            output = asked.model.loaded.output
            others = view_probabilities(executed.outputs, output, rows, rest.views)
            return completed_results(asked.plan, plain[rows], others)

        return executed, await self._settle(asked, executed.outputs, completed)

    async def _decoded(
        self, asked: Asked, plan: Plan, kept: KeptPictures | None = None
    ) -> list[_Expanded]:
        work = partial(_expand, expansion_of(asked.model), plan, asked.is_watched, kept)
        return await self._intake.decoded(asked.model, asked.images, asked.deadline_s, work)

    async def _expanded_rest(
        self, asked: Asked, rest: Plan, row: int, place: int | None, kept: KeptPictures
    ) -> _Expanded:
        try:
            if place is None:
                return await self._decoded_again(asked, rest, row)
            return await self._seen_again(asked, rest, place, kept)
        except InvalidInput as refused:
            if len(asked.images) == 1:
                raise
            raise InvalidInput(f"image {row}: {refused}") from refused

    async def _decoded_again(self, asked: Asked, rest: Plan, row: int) -> _Expanded:
        work = partial(_expand, expansion_of(asked.model), rest, False, None)  # noqa: FBT003 - as _expand has it
        image = asked.images[row]
        (expanded,) = await self._intake.decoded(asked.model, [image], asked.deadline_s, work)
        return expanded

    async def _seen_again(
        self, asked: Asked, rest: Plan, place: int, kept: KeptPictures
    ) -> _Expanded:
        work = partial(expansion_of(asked.model).rows, kept.picture(place), rest)
        rows = await self._intake.seen_again(asked.model, asked.deadline_s, work)
        kept.drop(place)
        return _Expanded(rows, None)

    async def _executed(self, asked: Asked, expanded: list[_Expanded]) -> Executed:
        """Executes the rows, and empties the list: nothing waits for the device twice."""
        parts = [each.rows for each in expanded]
        expanded.clear()
        stacked = await self._intake.stacked(parts)
        name = asked.model.loaded.backend.signature.inputs[0].name
        return await submit(
            asked.model, {name: stacked}, len(stacked), asked.deadline_s, asked.request_id
        )

    async def _settle(self, asked: Asked, outputs: Tensors, work: Callable[[], Result]) -> Result:
        values = outputs[asked.model.loaded.output.name or ""].size
        return await self._intake.finished(len(asked.images), values, work)


def _expand(
    expansion: Expansion,
    plan: Plan,
    is_watched: bool,  # noqa: FBT001 - for partial
    kept: KeptPictures | None,
    image: bytes,
) -> _Expanded:
    picture = expansion.recipe.picture(image)
    expanded = expansion.of_picture(picture, plan, is_watched=is_watched)
    place = None if kept is None else kept.keep(picture)
    return _Expanded(expanded.rows, expanded.seen, place)


def _plain_results(
    asked: Asked, outputs: Tensors
) -> tuple[Array, list[RowResult], tuple[bool, ...]]:
    """Of each row's plain view: its probabilities, its answer, and whether that is not enough."""
    rows = range(len(asked.images))
    by_view = view_probabilities(outputs, asked.model.loaded.output, rows, (IDENTITY,))
    plain = by_view[:, 0]
    results = [early_result(row) for row in plain]
    return plain, results, tuple(not is_sure(asked.plan, row) for row in plain)


def _inputs(asked: Asked, expanded: Sequence[_Expanded]) -> RowInputs | None:
    """What was seen of the pictures, where a profile wants it."""
    seen = [each.seen for each in expanded if each.seen is not None]
    return row_inputs(seen) if asked.is_watched else None


def _augmentation(asked: Asked, results: Sequence[RowResult]) -> Augmentation:
    warnings = asked.model.loaded.tta.warnings(asked.plan.views)
    return Augmentation(asked.plan, tuple(results), warnings)
