"""Bundles and pictures that a test writes itself."""

import io
import json
from pathlib import Path

from PIL import Image

LOGITS = """
format = 1
[output]
kind = "logits"
[batching]
buckets_rows = [2, 4]
max_queued_rows = 16
"""
PROBABILITIES = LOGITS.replace('"logits"', '"probabilities"')
RAW = """
format = 1
[batching]
buckets_rows = [2, 4]
max_queued_rows = 16
"""
# Takes pictures of exactly 2 x 2 pixels as they are.
PICTURES = LOGITS + "[recipe]\n"


def write_bundle(
    directory: Path, manifest: str | None = LOGITS, *, shape: tuple[int, ...] = (4,), **keys: object
) -> Path:
    """An affine bundle of three classes: ``scores = 2 * (first three elements) + 1``.

    Args:
        directory: is made.
        manifest: the text of batchproof.toml; None writes none.
        shape: of one row.
        keys: replace keys of affine.json.
    """
    directory.mkdir(parents=True)
    settings = {"input_shape": shape, "input_dtype": "float32", "classes": 3} | keys
    settings = {"scale": 2.0, "offset": 1.0} | settings
    (directory / "affine.json").write_text(json.dumps(settings))
    if manifest is not None:
        (directory / "batchproof.toml").write_text(manifest)
    return directory


def picture(level: int = 100, size: int = 2) -> bytes:
    """A grey PNG."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), (level, level, level)).save(file, "PNG")
    return file.getvalue()
