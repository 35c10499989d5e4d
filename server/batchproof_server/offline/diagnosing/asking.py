"""The answers to rows of tensors, as checks compare them, whoever executes the rows."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.scores import Scores, score
from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Predict, ask
from batchproof_server.offline.evaluation.evaluating import scores_kind
from batchproof_server.serving.request import NO_DEADLINE_S, PredictRequest

Result = TypeVar("Result")
Execute: TypeAlias = Callable[[Array], Awaitable[Array]]
"""From rows, one or more, to the output of scores as the model gives it."""


class RunWork(Protocol):
    """Where a piece of work on pictures is done, and when."""

    async def __call__(self, work: Callable[[], Result], /) -> Result:
        """What the work returns."""
        ...


async def run_here(work: Callable[[], Result], /) -> Result:
    """At once, where nobody else waits."""
    return work()


@dataclass(frozen=True, slots=True)
class RowAsker:
    """Asks about rows.

    Attributes:
        loaded: a model with exclusive classes and a recipe.
        most_rows: of one execution.
        execute: executes so many rows at most.
        run: does work on pictures.
    """

    loaded: LoadedModel
    most_rows: int
    execute: Execute
    run: RunWork

    async def answers(self, rows: Array) -> ClassAnswers:
        """The answers to rows, a micro-batch at a time.

        Args:
            rows: of the model's input, one or more.

        Raises:
            ServingError: the model has no answer to one of them.
        """
        return ClassAnswers.of(await self.scores(rows))

    async def answers_or_none(self, row: Array) -> ClassAnswers | None:
        """The answer to one row; None where it is not finite."""
        try:
            return await self.answers(row[np.newaxis])
        except InvalidInput:
            return None

    async def each_or_none(self, rows: Sequence[Array]) -> list[ClassAnswers | None]:
        """The answer to each row, together where all have one; None where it is not finite."""
        if len({row.shape for row in rows}) == 1:
            with contextlib.suppress(InvalidInput):
                answers = await self.answers(await self.run(partial(np.stack, rows)))
                return [answers.part(slice(one, one + 1)) for one in range(len(rows))]
        return [await self.answers_or_none(row) for row in rows]

    async def scores(self, rows: Array) -> Scores:
        """The same, as the server makes them.

        Raises:
            ServingError: the model has no answer to one of them.
        """
        size = self.most_rows
        parts = [
            await self.execute(rows[start : start + size]) for start in range(0, len(rows), size)
        ]
        return score(np.concatenate(parts), scores_kind(self.loaded), self.loaded.output.limit)


@dataclass(frozen=True, slots=True)
class OtherEngine:
    """An engine other than the one that answers.

    Attributes:
        engine: its name, with its version where it executes the model.
        asker: None where it does not.
        reason: why it does not.
    """

    engine: str
    asker: RowAsker | None
    reason: str = ""


def asker_of_core(model: ServedModel, predict: Predict) -> RowAsker:
    """Asks the core that answers callers, where nobody else asks it."""
    most_rows = max(1, min(model.batcher.max_batch_rows, model.max_request_rows))
    name = model.loaded.backend.signature.inputs[0].name

    async def execute(rows: Array) -> Array:
        request = PredictRequest(model, NO_DEADLINE_S, tensors={name: rows})
        prediction = await ask(predict, request)
        return prediction.outputs[model.loaded.output.name or ""]

    return RowAsker(model.loaded, most_rows, execute, run_here)
