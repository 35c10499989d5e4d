"""Recipes of a given size for tests of what comes before and after them."""

from typing import Any

import numpy as np

from batchproof_server.base.signature import TensorSpec
from batchproof_server.base.validation import parse_settings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs


def recipe_of_size(
    height: int | None, width: int | None, *, resize: bool = True, color: str = "rgb"
) -> Recipe:
    """Stretches bilinearly to the size, or takes pictures of exactly that size."""
    table: dict[str, Any] = {"color": color}
    if resize:
        table["resize"] = {"library": "pillow", "method": "bilinear", "policy": "stretch"}
    spec = TensorSpec("x", np.dtype(np.float32), (height, width, 1 if color == "grayscale" else 3))
    settings = parse_settings(RecipeSettings, table)
    return compile_recipe(settings, spec, pillow_plugs(), ImageLimits())
