"""What making a row of an encoded picture costs a core: Pillow alone against the quick way.

    python benchmarks/picture_cpu.py FOLDER [--rounds 5]

FOLDER has JPEG files. Process CPU time, both ways in turns, medians over the rounds, in ms for each
picture; neighbours on the machine disturb CPU time less than they do throughput. The rows of both
ways are compared bit for bit first.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import PIL

from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.decoded import decode_image
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.pillow_flavour import PillowDecoder, PillowResizer
from batchproof_server.imaging.pixels import quick
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, RecipeSettings, compile_recipe, pillow_plugs
from batchproof_server.imaging.resize import ResizeSettings

_ROW: Final = TensorSpec("image", np.dtype(np.float32), (224, 224, 3))
_RECIPES: Final[Mapping[str, RecipeSettings]] = {
    "nearest to 224 x 224 (keras-load-img)": RecipeSettings(preset="keras-load-img"),
    "bilinear to 224 x 224": RecipeSettings(
        preset="keras-load-img", resize=ResizeSettings(method="bilinear")
    ),
    "bilinear to 256, cut to 224 (torchvision-eval)": RecipeSettings(preset="torchvision-eval"),
    "bicubic to 256, cut to 224": RecipeSettings(
        preset="torchvision-eval", resize=ResizeSettings(method="bicubic")
    ),
    "lanczos to 224 x 224": RecipeSettings(
        preset="keras-load-img", resize=ResizeSettings(method="lanczos")
    ),
}


def measure(files: Sequence[bytes], settings: RecipeSettings, rounds: int) -> list[float]:
    """Medians in ms a picture: decode, resize, all; of Pillow, then of the quick way."""
    ways = [_recipe(settings, plugs) for plugs in (_pillow_alone(), pillow_plugs())]
    for file in files:
        one, other = (recipe.apply(file) for recipe in ways)
        if one.tobytes() != other.tobytes():
            raise AssertionError("the rows differ")
    steps = [step for recipe in ways for step in _steps(recipe, files)]
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for step, times in zip(steps, taken, strict=True):
            times.append(_cpu_ms(step) / len(files))
    return [statistics.median(times) for times in taken]


def _steps(recipe: Recipe, files: Sequence[bytes]) -> Iterator[Callable[[], object]]:
    pictures = [recipe.picture(file) for file in files]
    yield lambda: [recipe.picture(file) for file in files]
    yield lambda: [recipe.row(picture) for picture in pictures]
    yield lambda: [decode_image(recipe, file) for file in files]


def _cpu_ms(step: Callable[[], object]) -> float:
    began_s = time.process_time()
    step()
    return (time.process_time() - began_s) * 1000


def _recipe(settings: RecipeSettings, plugs: Plugs) -> Recipe:
    return compile_recipe(settings, _ROW, plugs, ImageLimits())


def _pillow_alone() -> Plugs:
    plugs = Plugs()
    plugs.decoders.register("accurate", PillowDecoder())
    plugs.resizers.register("pillow", PillowResizer)
    return plugs


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    files = [file.read_bytes() for file in sorted(arguments.folder.glob("*.jp*g"))]
    if quick() is None:
        raise SystemExit("the extra pictures is missing or does not agree with Pillow")
    kilobytes = statistics.mean(map(len, files)) / 1000
    print(f"{len(files)} files, {kilobytes:.0f} kB on average, Pillow {PIL.__version__}\n")
    print("| recipe | decode | resize to row | all | of Pillow's |\n|---|--:|--:|--:|--:|")
    for name, settings in _RECIPES.items():
        figures = measure(files, settings, arguments.rounds)
        cells = [
            f"{old:.2f} / {new:.2f}" for old, new in zip(figures[:3], figures[3:], strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {figures[5] / figures[2]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
