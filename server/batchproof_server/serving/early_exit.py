"""Early exit: the plain views first, and the other views of those rows that are not sure."""

from collections.abc import Mapping
from functools import partial

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.input_statistics import InputStatistics
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.imaging.decoded import PictureRows
from batchproof_server.serving.kept_pictures import KeptPictures
from batchproof_server.serving.off_loop import all_or_none
from batchproof_server.serving.request import Prediction, PredictRequest
from batchproof_server.serving.rounds import ModelOutputs, Rounds, statistics_of
from batchproof_server.tta.combining import (
    Augmentation,
    answer,
    completed_results,
    view_probabilities,
    without_plain,
)
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult, early_result, is_sure
from batchproof_server.tta.views import IDENTITY


# Contract: the pictures are kept for their other views, as far as their budget goes, and decoded
# again where it is used up. The answer to a row depends on nothing but the picture, the plan and
# the model version. Nothing that grows with pixels, or with rows times classes, runs on the loop
# thread.
async def predict_with_early_exit(
    rounds: Rounds, request: PredictRequest
) -> tuple[Prediction, InputStatistics | None]:
    """Answers pictures whose plan has an early exit, in one round or two.

    Args:
        rounds: executes them.
        request: whose numbers of rows and views were checked.

    Returns:
        The answer, and what was seen of the pictures.

    Raises:
        InvalidInput: a picture or a view of it is refused.
        QueueFull, Draining, DeadlineExceeded, BackendFailed: as the batcher says.
    """
    with KeptPictures(rounds.off_loop.kept_budget) as kept:
        return await _predict(rounds, request, kept)


async def _predict(
    rounds: Rounds, request: PredictRequest, kept: KeptPictures
) -> tuple[Prediction, InputStatistics | None]:
    request.model.batcher.check_room(len(request.images), request.deadline_s, request.caller.peer)
    pictures = await rounds.decode(request, Plan(request.plan.policy, (IDENTITY,)), kept)
    inputs, places = statistics_of(pictures), [picture.kept for picture in pictures]
    rows, output = len(places), request.model.loaded.output
    first = await rounds.execute(request, await rounds.stack(request, pictures), rows)
    executions, values = first.executions, first.outputs[output.name or ""].size
    plain, results, unsure_rows = await rounds.off_loop.run(
        partial(_plain_results, request, first.outputs), rows=rows, values=values
    )
    unsure = {row: places[row] for row in unsure_rows}
    kept.drop_all_but(unsure.values())
    if unsure:
        more, finished = await _finish(rounds, request, unsure, plain, kept)
        executions += more.executions
        for row, result in zip(unsure, finished, strict=True):
            results[row] = result
    settle = partial(answer, results, first.outputs, output)
    scores, outputs = await rounds.off_loop.run(settle, rows=rows, values=values)
    warnings = request.model.loaded.tta.warnings(request.plan.views)
    augmentation = Augmentation(request.plan, tuple(results), warnings)
    return Prediction(request.model, scores, outputs, executions, augmentation), inputs


async def _finish(
    rounds: Rounds,
    request: PredictRequest,
    unsure: Mapping[int, int | None],
    plain: Array,
    kept: KeptPictures,
) -> tuple[ModelOutputs, list[RowResult]]:
    """The other views of the rows that are not sure, and what all their views came to.

    Args:
        rounds: executes them.
        request: the request.
        unsure: the numbers of the rows, and where their pictures are kept.
        plain: the probabilities of all rows' plain views.
        kept: holds the pictures.
    """
    rows, rest = list(unsure), without_plain(request.plan)
    pictures = await all_or_none(
        _decode_rest(rounds, request, rest, row, kept, place) for row, place in unsure.items()
    )
    stacked = await rounds.stack(request, list(pictures))
    executed = await rounds.execute(request, stacked, len(rows) * len(rest.views))
    output = request.model.loaded.output

    def complete() -> list[RowResult]:
        others = view_probabilities(executed.outputs, output, rows, rest.views)
        return completed_results(request.plan, plain[rows], others)

    values = executed.outputs[output.name or ""].size
    return executed, await rounds.off_loop.run(complete, rows=len(request.images), values=values)


async def _decode_rest(
    rounds: Rounds,
    request: PredictRequest,
    rest: Plan,
    row: int,
    kept: KeptPictures,
    place: int | None,
) -> PictureRows:
    try:
        if place is None:
            (rows,) = await rounds.decode(request, rest, again=row)
            return rows
        return await rounds.use_kept(request, rest, kept, place)
    except InvalidInput as refused:
        if len(request.images) == 1:
            raise
        raise InvalidInput(f"image {row}: {refused}") from refused


def _plain_results(
    request: PredictRequest, outputs: Tensors
) -> tuple[Array, list[RowResult], list[int]]:
    """Of each row's plain view: its probabilities, its answer; and the rows that need the rest."""
    rows = range(len(request.images))
    by_view = view_probabilities(outputs, request.model.loaded.output, rows, (IDENTITY,))
    plain = by_view[:, 0]
    results = [early_result(row) for row in plain]
    return plain, results, [row for row in rows if not is_sure(request.plan, plain[row])]
