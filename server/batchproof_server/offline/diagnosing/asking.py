"""The answers to rows of tensors, as checks compare them."""

from dataclasses import dataclass

import numpy as np

from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Predict, ask
from batchproof_server.serving.request import NO_DEADLINE_S, Prediction, PredictRequest


@dataclass(frozen=True, slots=True)
class RowAsker:
    """Asks the core about rows.

    Attributes:
        model: with exclusive classes and a recipe.
        predict: answers requests to it.
    """

    model: ServedModel
    predict: Predict

    async def answers(self, rows: Array) -> ClassAnswers:
        """The answers to rows, a micro-batch at a time.

        Args:
            rows: of the model's input, one or more.

        Raises:
            ServingError: the model has no answer to one of them.
        """
        size = max(1, min(self.model.batcher.max_batch_rows, self.model.max_request_rows))
        parts = [
            scores_of(await self._ask(rows[start : start + size]))
            for start in range(0, len(rows), size)
        ]
        answers = [ClassAnswers.of(each) for each in parts]
        return ClassAnswers(
            np.concatenate([each.probabilities for each in answers]),
            np.concatenate([each.scores for each in answers]),
            answers[0].has_logits,
            np.concatenate([each.decided for each in answers]),
        )

    async def answers_or_none(self, row: Array) -> ClassAnswers | None:
        """The answer to one row; None where it is not finite."""
        try:
            return await self.answers(row[np.newaxis])
        except InvalidInput:
            return None

    async def output(self, rows: Array) -> Array:
        """The scores' output for rows of one request, as the model gave it."""
        prediction = await self._ask(rows)
        return prediction.outputs[self.model.loaded.output.name or ""]

    async def _ask(self, rows: Array) -> Prediction:
        name = self.model.loaded.backend.signature.inputs[0].name
        request = PredictRequest(self.model, NO_DEADLINE_S, tensors={name: rows})
        return await ask(self.predict, request)


def scores_of(prediction: Prediction) -> Scores:
    """Those of a model with class scores.

    Raises:
        ServingError: it has none.
    """
    if prediction.scores is None:
        raise ServingError("the model's output is raw")
    return prediction.scores
