"""What the signals of a picture cost, in microseconds of processor time for each picture.

    python benchmarks/drift_signal_cost.py [--repeats 15]

Beside the decoding: what a decode thread looks at before it resizes. On the drift thread: what
numpy computes of 256 pictures at a time. Medians of interleaved rounds, pictures of random pixels.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.base.input_statistics import SeenPixels
from batchproof_server.drift.blocks import blockiness
from batchproof_server.drift.colours import colour_properties
from batchproof_server.drift.pictures import picture_properties
from batchproof_server.imaging.decoded import (
    middle_luma,
    picture_statistics,
    reduce_luma,
    spread_colours,
)

SIZES: Final = ((32, 32), (224, 224), (500, 375), (2_000, 1_500))
PICTURES: Final = 256
ROUNDS: Final = 20


def parts_of(picture: Image.Image) -> Mapping[str, tuple[Callable[[], object], int]]:
    """Each part of the work, and of how many pictures a call is."""
    seen = [picture_statistics(picture, None).pixels for _ in range(PICTURES)]
    return {
        "luma": (partial(reduce_luma, picture), 1),
        "middle": (partial(middle_luma, picture), 1),
        "colours": (partial(spread_colours, picture), 1),
        "all beside the decoding": (partial(picture_statistics, picture, None), 1),
        "brightness, contrast, sharpness": (partial(_properties, seen), PICTURES),
        "blockiness": (partial(_blocks, seen), PICTURES),
        "saturation, warmth, tint": (partial(_colours, seen), PICTURES),
    }


def _properties(seen: list[SeenPixels]) -> None:
    picture_properties([each.luma for each in seen])


def _blocks(seen: list[SeenPixels]) -> None:
    blockiness([each.middle for each in seen])


def _colours(seen: list[SeenPixels]) -> None:
    colour_properties([each.colours for each in seen if each.colours is not None])


def measured(picture: Image.Image, repeats: int) -> dict[str, float]:
    """Microseconds of each part for a picture."""
    parts = parts_of(picture)
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, (work, pictures) in parts.items():
            times = max(1, ROUNDS // pictures)
            started_s = time.process_time()
            for _ in range(times):
                work()
            spent[name].append((time.process_time() - started_s) / times / pictures * 1e6)
    return {name: float(np.median(each)) for name, each in spent.items()}


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15, help="interleaved rounds")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    found = {}
    for width, height in SIZES:
        pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
        found[f"{width} x {height}"] = measured(Image.fromarray(pixels), arguments.repeats)
    print(f"| us a picture | {' | '.join(found)} |")
    print("|---|" + "---|" * len(found))
    for part in next(iter(found.values())):
        print(f"| {part} | {' | '.join(f'{each[part]:.0f}' for each in found.values())} |")


if __name__ == "__main__":
    main()
