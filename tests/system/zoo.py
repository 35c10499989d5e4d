"""A repository of several models, of which some are good, one is slow and two are bad."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from support import model_fixtures
from system.bundles import write_affine

_MATRIX_ROWS = 512
_PRODUCTS = 200
# One bucket beside that of one row: the proof executes each bucket that there is.
_SLOW_MANIFEST = "format = 1\n[batching]\nbuckets_rows = [32]\n"


def write_zoo(path: Path) -> None:
    """Writes the repository.

    ``exact`` has the versions 1 to 3, whose scores are 1 to 3 times the row, plus 1, and a bad
    version 4; ``exported`` is what ``model.export`` wrote; ``slow`` takes its time;
    ``broken`` is bad.
    """
    for version in (1, 2, 3):
        write_affine(path / "exact" / str(version), scale=version)
    write_affine(path / "exact" / "4", manifest="format = 4")
    write_affine(path / "broken" / "1", manifest='format = 1\nlabels = "absent.txt"\n')
    for name, save in (("exported", model_fixtures.save_exported), ("slow", save_slow)):
        (path / name).mkdir()
        save(path / name).rename(path / name / "1")
    (path / "slow" / "1" / "batchproof.toml").write_text(_SLOW_MANIFEST)


def save_slow(directory: Path) -> Path:
    """``work`` float32 [1] -> ``done`` float32 [512]; full micro-batches take a noticeable time."""
    spec = tf.TensorSpec((None, 1), tf.float32, name="work")
    return model_fixtures.save_function(directory, _slow, spec)


def _slow(work: Any) -> dict[str, Any]:
    # Each row goes its own way: the proof refuses a model whose rows wait for each other.
    matrix = tf.eye(_MATRIX_ROWS)
    _, rows = tf.while_loop(
        lambda step, _: step < _PRODUCTS,
        lambda step, rows: (step + 1, tf.linalg.matmul(rows, matrix)),
        (tf.constant(0), tf.tile(work, (1, _MATRIX_ROWS))),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, _MATRIX_ROWS))),
    )
    return {"done": rows}
