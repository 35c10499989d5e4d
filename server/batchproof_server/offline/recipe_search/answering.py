"""What a model answers to one picture under many recipes: decoded once, asked for together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.base.files import reason_of
from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import Picture, picture_bytes
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Predict, ask
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.evaluation.paths import EvaluationFailed
from batchproof_server.serving.request import NO_DEADLINE_S, PredictRequest

_KEPT_BYTES: Final = 512 << 20
"""Of decoded pictures; what is beyond is decoded again when it is needed again."""
_REQUEST_BYTES: Final = 32 << 20
_Way: TypeAlias = tuple[int, str, str, int]
"""Place of a picture, decoder, orientation, channels."""


class Unfit(Exception):
    """A recipe refuses a picture that others take.

    Args:
        refused: why, by the digest of the recipe.
    """

    def __init__(self, refused: dict[str, str]) -> None:
        super().__init__(", ".join(refused.values()))
        self.refused = refused


# Contract: the answer under a recipe is the one that a request of its row gets, whatever other rows
# are in the same request; the proof of the version says so.
@dataclass(slots=True)
class ManyRecipes:
    """Asks for the same pictures under several recipes.

    Attributes:
        served: takes the rows, and gives class scores.
        predict: answers requests to it.
        pictures: those that are asked about.
    """

    served: ServedModel
    predict: Predict
    pictures: Sequence[LabelledPicture]
    _decoded: dict[_Way, Picture] = field(default_factory=dict)
    _kept_bytes: int = 0

    async def probabilities(self, place: int, recipes: Sequence[Recipe]) -> Array:
        """The answers to one picture: float32 [recipes, classes].

        Args:
            place: of the picture.
            recipes: one or more.

        Raises:
            InvalidData: the file cannot be read.
            Unfit: recipes that refuse it.
            EvaluationFailed: the model failed.
        """
        rows = self._rows(place, recipes)
        most = max(1, min(self.served.max_request_rows, _REQUEST_BYTES // max(1, rows[0].nbytes)))
        name = self.served.loaded.backend.signature.inputs[0].name
        answers = []
        for first in range(0, len(rows), most):
            tensors = {name: np.stack(rows[first : first + most])}
            request = PredictRequest(self.served, NO_DEADLINE_S, tensors=tensors)
            try:
                prediction = await ask(self.predict, request)
            except ServingError as failed:
                raise EvaluationFailed(f"{self.pictures[place].name}: {failed}") from failed
            if prediction.scores is None:
                raise EvaluationFailed("the model's output is raw")
            answers.append(prediction.scores.probabilities)
        return np.concatenate(answers)

    def _rows(self, place: int, recipes: Sequence[Recipe]) -> list[Array]:
        picture = self.pictures[place]
        try:
            encoded = picture.read()
        except OSError as fault:
            raise InvalidData([f"{picture.name}: cannot be read ({reason_of(fault)})"]) from fault
        rows: list[Array] = []
        refused: dict[str, str] = {}
        for recipe in recipes:
            try:
                rows.append(recipe.row(self._picture(place, encoded, recipe)))
            except InvalidInput as invalid:
                refused[recipe.digest] = f"{picture.name}: {invalid}"
        if refused:
            raise Unfit(refused)
        return rows

    def _picture(self, place: int, encoded: bytes, recipe: Recipe) -> Picture:
        plan = recipe.plan
        way = place, plan.decoder, plan.orientation, recipe.channels
        kept = self._decoded.get(way)
        if kept is not None:
            return kept
        picture = recipe.picture(encoded)
        size_bytes = picture_bytes(picture)
        if self._kept_bytes + size_bytes <= _KEPT_BYTES:
            self._decoded[way] = picture
            self._kept_bytes += size_bytes
        return picture
