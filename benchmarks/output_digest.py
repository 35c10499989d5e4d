"""Did a change of the server change an answer? One SHA-256 a bucket over raw outputs.

    python benchmarks/output_digest.py [--bundle DIR] [--pictures PATH]

takes fifty pictures on the server's own way (recipe, padded micro-batch, engine) and prints the
digest of their answers for micro-batches of 2 and of 32 rows, or of the smallest and the largest
bucket that the bundle declares. Run it before and after a change, on the same machine: equal
digests mean that no bit has changed. Padding is left out, so that buckets of one class of the
certificate have the same digest.
"""

import argparse
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from batchproof_server.application.config import Config, prepare_engines
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.backend import Backend
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.base.spread import spread
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.devices.assembly import assemble, split
from batchproof_server.models.discovery import discover
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version

CHECKOUT: Final = Path(__file__).resolve().parents[1]
BUNDLE: Final = CHECKOUT / "examples/fashion_mnist/models/fashion-mnist/1"
PICTURES: Final = CHECKOUT / "tests/data/fashion_mnist_1000.npz"
BUCKETS_ROWS: Final = (2, 32)
_COUNT: Final = 50
_PICTURES: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line a bucket."""
    parser = argparse.ArgumentParser(description="Prints the SHA-256 of raw outputs by bucket.")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="with a recipe (the example)")
    parser.add_argument(
        "--pictures", type=Path, default=PICTURES, help="a folder, or an .npz file with images"
    )
    arguments = parser.parse_args(argv)
    model = loaded(arguments.bundle)
    rows = rows_of(model, pictures(arguments.pictures))
    buckets_rows = model.batching.buckets_rows
    for bucket_rows in (buckets_rows[0], buckets_rows[-1]):
        print(f"{bucket_rows:>2} rows  {digest(answers(model.backend, rows, bucket_rows))}")


def loaded(bundle: Path) -> LoadedModel:
    """The model of a bundle, unproven, with the buckets of the digests if it names none."""
    prepare_engines()
    config = Config(batching=BatchingSettings(buckets_rows=BUCKETS_ROWS))
    return load_version(discover(bundle)[0], replace(loading_plugs(config), prove=None))


def pictures(path: Path) -> list[bytes]:
    """Fifty encoded pictures, spread evenly; fewer where there are fewer."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return [_png(image) for image in spread(file["images"], _COUNT)]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _PICTURES)
    return [file.read_bytes() for file in spread(files, _COUNT)]


def rows_of(model: LoadedModel, encoded: Sequence[bytes]) -> list[Array]:
    """Each picture through the recipe.

    Raises:
        ValueError: the bundle has no recipe, or there are no pictures.
    """
    if model.recipe is None or not encoded:
        raise ValueError("expected a bundle with a recipe, and one picture or more")
    return [model.recipe.apply(picture) for picture in encoded]


def answers(backend: Backend, rows: Sequence[Array], bucket_rows: int) -> Iterator[Tensors]:
    """All outputs of each row, from micro-batches that the last row pads."""
    name = backend.signature.inputs[0].name
    for start in range(0, len(rows), bucket_rows):
        parts = [{name: row[None]} for row in rows[start : start + bucket_rows]]
        outputs = backend.execute(assemble(parts, bucket_rows))
        yield from split(outputs, [1] * len(parts), bucket_rows)


def digest(outputs: Iterator[Tensors]) -> str:
    """SHA-256 over the bytes of all outputs, by name within a row, in hexadecimal."""
    found = hashlib.sha256()
    for row in outputs:
        for name in sorted(row):
            found.update(np.ascontiguousarray(row[name]).tobytes())
    return found.hexdigest()


def _png(image: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
