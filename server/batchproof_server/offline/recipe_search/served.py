"""A search for the recipe of a model that is served."""

from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Predict
from batchproof_server.offline.datasets.pictures import LabelledPicture, truth_of
from batchproof_server.offline.evaluation.evaluating import class_count
from batchproof_server.offline.recipe_search.answering import ManyRecipes
from batchproof_server.offline.recipe_search.candidates import RecipeInput
from batchproof_server.offline.recipe_search.searching import Begin, RecipeSearch


def search_of(
    served: ServedModel,
    predict: Predict,
    model: RecipeInput,
    pictures: tuple[LabelledPicture, ...],
    begin: Begin,
) -> RecipeSearch:
    """A search that has not begun.

    Args:
        served: gives class scores.
        predict: answers requests to it.
        model: its input.
        pictures: in the order in which they are asked about; see ``mixed``.
        begin: of steps.

    Raises:
        InvalidData: the model gives no class scores, or a picture is of no class of it.
    """
    loaded = served.loaded
    is_multi_label = loaded.output.is_multi_label
    return RecipeSearch(
        asker=ManyRecipes(served, predict, pictures),
        truth=truth_of(pictures, class_count(loaded), is_multi_label=is_multi_label),
        meaning=loaded.output.meaning,
        model=model,
        begin=begin,
    )
