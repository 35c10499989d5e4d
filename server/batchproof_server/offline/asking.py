"""How everything offline asks for answers: of the core that answers callers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from batchproof_server.serving.request import Prediction, PredictRequest, Refusal

Predict: TypeAlias = Callable[[Sequence[PredictRequest]], Awaitable[list[Prediction | Refusal]]]
"""``Core.predict``."""
Count: TypeAlias = Callable[[int], None]
"""Told how many pictures are done."""


async def ask(predict: Predict, request: PredictRequest) -> Prediction:
    """The answer to one request.

    Raises:
        ServingError: why there is none.
    """
    (answer,) = await predict([request])
    if isinstance(answer, Refusal):
        raise answer.error
    return answer
