"""Writes a part of Fashion-MNIST as the ``.npz`` file that `batchproof-server` reads.

    python examples/fashion_mnist/as_npz.py test 0 5000 -o test-first-5000.npz

Needs numpy only. The images keep their order.
"""

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np

FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package
FILES = {"train": "train", "test": "t10k"}
SIDE_PIXELS = 28


def main() -> int:
    """Writes the file."""
    parser = argparse.ArgumentParser(description="Part of Fashion-MNIST as an .npz file.")
    parser.add_argument("part", choices=sorted(FILES), help="60,000 or 10,000 images")
    parser.add_argument("start", type=int, help="the first image, from 0")
    parser.add_argument("stop", type=int, help="one after the last image")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=FOLDER, help=f"the four files ({FOLDER})")
    given = parser.parse_args()
    name, chosen = FILES[given.part], slice(given.start, given.stop)
    pixels = _read(given.data / f"{name}-images-idx3-ubyte.gz", 16)
    images = pixels.reshape(-1, SIDE_PIXELS, SIDE_PIXELS)[chosen]
    labels = _read(given.data / f"{name}-labels-idx1-ubyte.gz", 8)[chosen].astype(np.int64)
    np.savez(given.out, images=images, labels=labels)
    print(f"wrote {given.out}: {len(images)} images")
    return 0


def _read(file: Path, header_bytes: int) -> "np.typing.NDArray[np.uint8]":
    with gzip.open(file) as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=header_bytes)


if __name__ == "__main__":
    sys.exit(main())
