"""How everything offline asks for answers: of the core that answers callers."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from batchproof_server.serving.request import Prediction, PredictRequest

Predict: TypeAlias = Callable[[PredictRequest], Awaitable[Prediction]]
"""``Predictor.predict``."""
Count: TypeAlias = Callable[[int], None]
"""Told how many pictures are done."""
