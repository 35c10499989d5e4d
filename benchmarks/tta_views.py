"""What each view costs on a decode thread: processor time, measured in turn, medians.

    python benchmarks/tta_views.py [--repeats 60]

The picture is a JPEG file of 320 x 240 pixels, the row 224 x 224. *view* is the view alone, *row*
also resizes it to the model's row; the first lines are the decoding and the plain row.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings
from batchproof_server.tta.noise import normal_deviates, picture_digest
from batchproof_server.tta.original import Original
from batchproof_server.tta.pixels import seen
from batchproof_server.tta.views import View, parse_view
from tta import pictures

TEXTS = (
    *("hflip", "rot90", "rotate(10)", "crop(0.875)", "scale(0.8)", "scale(1.2)", "shift(0.05,0)"),
    *("brightness(1.2)", "contrast(0.8)", "noise(0.02)", "jpeg(60)"),
)
RESIZE = ResizeSettings(library="pillow", method="bilinear", policy="stretch")


def measured(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Milliseconds of processor time of each, measured in turn."""
    spent_ms: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, one in work.items():
            begun_s = time.thread_time()
            one()
            spent_ms[name].append((time.thread_time() - begun_s) * 1e3)
    return {name: statistics.median(each) for name, each in spent_ms.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=60)
    repeats = parser.parse_args().repeats
    spec = TensorSpec("image", np.dtype(np.float32), (224, 224, 3))
    recipe = compile_recipe(RecipeSettings(resize=RESIZE), spec, pillow_plugs(), ImageLimits())
    encoded = pictures()[0]
    picture = recipe.picture(encoded)
    original = Original.of(picture)
    deviates = normal_deviates()

    def row(view: View) -> object:
        return recipe.row(seen(original, view, 1, deviates))

    views = {text: parse_view(text) for text in TEXTS}
    work: dict[str, Callable[[], object]] = {
        "decode": partial(recipe.picture, encoded),
        "plain row": partial(recipe.row, picture),
        "SHA-256, for random views": partial(picture_digest, original.pixels),
    }
    work |= {
        f"view {text}": partial(seen, original, view, 1, deviates) for text, view in views.items()
    }
    work |= {f"row {text}": partial(row, view) for text, view in views.items()}
    spent_ms = measured(work, repeats)
    print(f"{'':26}  view, ms   row, ms")
    for name in ("decode", "plain row", "SHA-256, for random views"):
        print(f"{name:26} {spent_ms[name]:9.2f}")
    for text in TEXTS:
        print(f"{text:26} {spent_ms[f'view {text}']:9.2f} {spent_ms[f'row {text}']:9.2f}")


if __name__ == "__main__":
    main()
