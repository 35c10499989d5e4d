"""From one decoded picture to the rows of its views. Runs on a decode thread."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import Picture
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.tta.noise import normal_deviates, picture_digest, view_key
from batchproof_server.tta.original import Original
from batchproof_server.tta.pixels import seen
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import IDENTITY, View


# Contract: immutable, for any thread. A view's row depends on the picture, the view, how many equal
# views stand before it, and the seed; not on the other views. The view "identity" is the recipe's
# own row, bit for bit.
@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """Makes the views of pictures for one model version. Made by ``of``.

    Attributes:
        recipe: brings each view to the model's input.
        deviates: of random views, see ``noise.normal_deviates``.
    """

    recipe: Recipe
    deviates: Array

    @classmethod
    def of(cls, recipe: Recipe) -> "Expansion":
        """Takes some milliseconds, so that no request pays for the deviates."""
        return cls(recipe, normal_deviates())

    def rows(self, picture: Picture, plan: Plan) -> Array:
        """The rows of a picture's views, [views, *row shape], in the plan's order.

        Args:
            picture: as ``Recipe.picture`` gave it.
            plan: whose views.

        Raises:
            InvalidInput: a view cannot be made of this picture, or the recipe cannot take it; the
                text names the view.
        """
        original = Original.of(picture)
        keys = tuple(_keys(original.pixels, plan))
        first = self._row(picture, original, plan.views[0], keys[0])
        rows = np.empty((len(plan.views), *first.shape), first.dtype)
        rows[0] = first
        for place in range(1, len(plan.views)):
            row = self._row(picture, original, plan.views[place], keys[place], rows[place])
            if row.shape != first.shape:
                raise InvalidInput(
                    f'view "{plan.views[place].text}": the row is {list(row.shape)}, that of '
                    f'"{plan.views[0].text}" {list(first.shape)}; the model takes any size, and the'
                    " views of a picture must have one"
                )
        return rows

    def _row(
        self,
        picture: Picture,
        original: Original,
        view: View,
        key: int,
        out: Array | None = None,
    ) -> Array:
        if view == IDENTITY:
            return self.recipe.row(picture, out)
        try:
            return self.recipe.row(seen(original, view, key, self.deviates), out)
        except InvalidInput as refused:
            raise InvalidInput(f'view "{view.text}": {refused}') from refused


def _keys(pixels: Array, plan: Plan) -> Iterator[int]:
    digest = picture_digest(pixels) if any(view.is_random for view in plan.views) else b""
    yield from _view_keys(digest, plan.views, plan.seed)


def _view_keys(digest: bytes, views: Sequence[View], seed: int) -> Iterator[int]:
    before: Counter[View] = Counter()
    for view in views:
        yield view_key(seed, digest, view.text, before[view]) if view.is_random else 0
        before[view] += 1
