"""From one decoded picture to the rows of its views. Runs on a decode thread."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from batchproof_server.errors import InvalidInput
from batchproof_server.imaging.plugs import Picture
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.signature import Array
from batchproof_server.tta.noise import picture_digest, view_key
from batchproof_server.tta.original import Original
from batchproof_server.tta.pixels import seen
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import IDENTITY, View


# Contract: a view's row depends on the picture, the view, how many equal views stand before it, and
# the seed; not on the other views. The view "identity" is the recipe's own row, bit for bit.
def view_rows(recipe: Recipe, picture: Picture, plan: Plan) -> Array:
    """The rows of a picture's views, [views, *row shape], in the plan's order.

    Args:
        recipe: brings each view to the model's input.
        picture: as ``recipe.picture`` gave it.
        plan: whose views.

    Raises:
        InvalidInput: a view cannot be made of this picture, or the recipe cannot take it; the text
            names the view.
    """
    original = Original.of(picture)
    keys = tuple(_keys(original.pixels, plan))
    first = _row(recipe, picture, original, plan.views[0], keys[0])
    rows = np.empty((len(plan.views), *first.shape), first.dtype)
    rows[0] = first
    for place in range(1, len(plan.views)):
        row = _row(recipe, picture, original, plan.views[place], keys[place], rows[place])
        if row.shape != first.shape:
            raise InvalidInput(
                f'view "{plan.views[place].text}": the row is {list(row.shape)}, that of '
                f'"{plan.views[0].text}" {list(first.shape)}; the model takes any size, and the '
                "views of a picture must have one"
            )
    return rows


def _keys(pixels: Array, plan: Plan) -> Iterator[int]:
    digest = picture_digest(pixels) if any(view.is_random for view in plan.views) else b""
    yield from _view_keys(digest, plan.views, plan.seed)


def _view_keys(digest: bytes, views: Sequence[View], seed: int) -> Iterator[int]:
    before: Counter[View] = Counter()
    for view in views:
        yield view_key(seed, digest, view.text, before[view]) if view.is_random else 0
        before[view] += 1


def _row(
    recipe: Recipe,
    picture: Picture,
    original: Original,
    view: View,
    key: int,
    out: Array | None = None,
) -> Array:
    if view == IDENTITY:
        return recipe.row(picture, out)
    try:
        return recipe.row(seen(original, view, key), out)
    except InvalidInput as refused:
        raise InvalidInput(f'view "{view.text}": {refused}') from refused
