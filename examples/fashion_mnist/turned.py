"""Writes the Fashion-MNIST test images as they are and turned by chance, as .npz files.

    python examples/fashion_mnist/turned.py --output build/fashion-mnist

The data is that of Debian's package ``dataset-fashion-mnist``. Each picture of ``turned.npz`` is
turned about its middle by an angle of its own, uniform between -15 and 15 degrees, bilinear, black
beyond the edge. The same seed gives the same files.
"""

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SIDE_PIXELS = 28
IMAGES_HEAD_BYTES, LABELS_HEAD_BYTES = 16, 8

Bytes = NDArray[np.uint8]


def read_test(folder: Path) -> tuple[Bytes, Bytes]:
    """The images, uint8 [10000, 28, 28], and their labels, uint8 [10000]."""
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=IMAGES_HEAD_BYTES)
    classes = np.frombuffer(labels, np.uint8, offset=LABELS_HEAD_BYTES)
    return pixels.reshape(-1, SIDE_PIXELS, SIDE_PIXELS), classes


def turned(images: Bytes, degrees: float, seed: int) -> Bytes:
    """Each picture turned by an angle of its own, uniform in ``[-degrees, degrees]``."""
    angles = np.random.default_rng(seed).uniform(-degrees, degrees, len(images))
    pairs = zip(images, angles, strict=True)
    return np.stack(
        [
            np.asarray(Image.fromarray(picture).rotate(angle, Image.Resampling.BILINEAR))
            for picture, angle in pairs
        ]
    )


def main() -> int:
    """Reads, turns and writes both files."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DEBIAN_FOLDER, help="folder of the IDX files")
    parser.add_argument("--output", type=Path, required=True, help="folder for the .npz files")
    parser.add_argument("--degrees", type=float, default=15.0, help="turn by up to this")
    parser.add_argument("--seed", type=int, default=2017, help="of the angles")
    arguments = parser.parse_args()
    try:
        images, labels = read_test(arguments.data)
    except (OSError, ValueError) as fault:
        sys.exit(f"{arguments.data}: no Fashion-MNIST test set ({fault})")
    arguments.output.mkdir(parents=True, exist_ok=True)
    turned_images = turned(images, arguments.degrees, arguments.seed)
    for name, pictures in (("clean", images), ("turned", turned_images)):
        file = arguments.output / f"{name}.npz"
        np.savez_compressed(file, images=pictures, labels=labels)
        print(f"wrote {len(labels)} pictures to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
