"""The scores of a request, worked out once for all that were executed together.

Every figure of a row is computed from that row alone, so the scores are the same bits either way.
"""

from functools import partial

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import Scores, score, score_together
from batchproof_server.batching.replies import Company
from batchproof_server.serving.off_loop import OffLoop
from batchproof_server.serving.rounds import ModelOutputs


async def scores_of(
    executed: ModelOutputs, output: OutputSettings, rows: int, off_loop: OffLoop
) -> Scores | None:
    """The scores of the rows of a request; None for a model whose output is raw.

    Args:
        executed: what the model answered.
        output: what the answer is.
        rows: of the request.
        off_loop: takes what is large.

    Raises:
        InvalidInput: see ``score``; what others were answered is no matter of this request.
    """
    if output.kind == "raw" or output.name is None:
        return None
    only = executed.executions[0]
    if only.company is not None and len(executed.executions) == 1:
        if only.company.scores is None:
            only.company.scores = _together(only.company, output, output.name)
        if only.company.scores:
            return only.company.scores[only.place]
    array = executed.outputs[output.name]
    work = partial(score, array, output.kind, output.threshold)
    return await off_loop.run(work, rows=rows, values=array.size)


def _together(company: Company, output: OutputSettings, name: str) -> tuple[Scores, ...]:
    """The scores of each task; empty where each is better off with its own."""
    arrays = [part[name] for part in company.parts]
    if output.kind == "raw" or not OffLoop.is_quick(sum([array.size for array in arrays])):
        return ()
    try:
        return score_together(arrays, output.kind, output.threshold)
    except InvalidInput:  # whose it is, is found when each scores its own
        return ()
