"""False alarms of the signals of pictures: no model answers, so many references can be tried.

    python benchmarks/drift_input_alarms.py [--garments FILE] [--times 4] [--cuts 1000]

The garments are photographed by ``examples/garments/drawing.py``, --times each. --cuts times they
are cut anew into a reference and the rest, of which a window of 200 and one of 500 are looked at.
"""

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from batchproof_server.base.signature import Array
from batchproof_server.drift.binning import bins_of, decile_edges, reference_shares
from batchproof_server.drift.comparing import ALERT_PSI
from batchproof_server.drift.distances import noise_floor, stability_index
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.signals import NATURAL_RANGE
from batchproof_server.drift.significance import significance
from batchproof_server.imaging.decoded import input_statistics, picture_statistics
from drift_shifts import ROOT, SEED, drawn_garments

KNOWN: Final = (200, 1_000, 1_500)
SIZES: Final = (200, 500)


def signals_of(files: list[bytes]) -> Mapping[str, Array]:
    """The signals of pictures as the server sees them, but for that of the tensor."""
    seen = []
    for content in files:
        with Image.open(io.BytesIO(content)) as opened:
            seen.append(picture_statistics(ImageOps.exif_transpose(opened).convert("RGB"), None))
    values = input_values([input_statistics(seen)])
    return {name: each for name, each in values.items() if np.isfinite(each).all()}


def windows_that_fire(
    name: str, values: Array, order: Array, known: int
) -> tuple[list[bool], list[bool]]:
    """Of one cut: whether a window of each size is significant, and whether it would alert."""
    reference, rest = values[order[:known]], values[order[known:]]
    edges = np.array(decile_edges(reference, NATURAL_RANGE[name]))
    shares = reference_shares(np.bincount(bins_of(reference, edges), minlength=len(edges) + 1))
    significant, alerting = [], []
    for size in SIZES:
        counts = np.bincount(bins_of(rest[:size], edges), minlength=len(shares))
        is_significant = bool(significance(name, counts, shares, known) > 1)
        floor = noise_floor(np.array(size), len(shares), known)
        significant.append(is_significant)
        alerting.append(
            is_significant and bool(stability_index(counts, shares) - floor > ALERT_PSI)
        )
    return significant, alerting


def main() -> None:
    """Runs it, and prints the share of windows in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / "tests/data/fashion_mnist_1000.npz"
    parser.add_argument("--garments", type=Path, default=default, help=".npz of images, labels")
    parser.add_argument("--times", type=int, default=4, help="photographs of each garment")
    parser.add_argument("--cuts", type=int, default=1_000, help="into reference and rest")
    arguments = parser.parse_args()
    values = signals_of(list(drawn_garments(arguments.garments, arguments.times).files))
    random = np.random.default_rng(SEED)
    print(f"| signal | {' | '.join(f'M = {known:,}, alert' for known in KNOWN)} |")
    print("|---|" + "---|" * len(KNOWN))
    orders = [random.permutation(len(values["tint"])) for _ in range(arguments.cuts)]
    for name, each in values.items():
        cells = []
        for known in KNOWN:
            found = np.array([windows_that_fire(name, each, order, known) for order in orders])
            significant, alerting = 100 * found.mean(axis=(0, 2))
            cells.append(f"{significant:.2f} %, {alerting:.2f} %")
        print(f"| `{name}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
