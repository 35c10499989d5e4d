"""How everything offline asks for answers: of the core that answers callers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.base.errors import BackendFailed, ServingError
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
        raise _explained(answer.error) from answer.error
    return answer


def _explained(error: ServingError) -> ServingError:
    """The same with what the model failed with, which for callers of a server is in its log."""
    cause = error.__cause__
    if not isinstance(error, BackendFailed) or cause is None:
        return error
    return BackendFailed(f"{error}: {first_line(str(cause), cause)}")
