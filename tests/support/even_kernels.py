"""Whether TensorFlow's kernels on this processor give a row the same bits at every place.

With AVX-512 they do. Those for AVX2 compute the last rows of a matrix product in another order, so
that a row has other last bits there. The proof finds that out and serves the buckets that are left;
what tests say of the bits of TensorFlow itself holds on the other processors only.
"""

from functools import cache
from typing import Final

import numpy as np
import pytest

_ROWS: Final = (2, 4, 8)
_WIDTHS: Final = (16, 64, 144)


@cache
def are_kernels_even() -> bool:
    """Tries products of matrices and convolutions of alike rows."""
    import tensorflow as tf  # noqa: PLC0415 - takes seconds, and only where it is needed

    numbers = np.random.default_rng(0)

    def product(width: int, rows: int) -> bool:
        weights = tf.constant(numbers.normal(size=(width, 10)).astype(np.float32))
        row = numbers.normal(size=(1, width)).astype(np.float32)
        return _is_alike(tf.matmul(tf.repeat(row, rows, axis=0), weights).numpy())

    def convolution(rows: int) -> bool:
        weights = tf.constant(numbers.normal(size=(3, 3, 4, 16)).astype(np.float32))
        row = numbers.normal(size=(1, 12, 12, 4)).astype(np.float32)
        answers = tf.nn.conv2d(tf.repeat(row, rows, axis=0), weights, 1, "SAME")
        return _is_alike(answers.numpy())

    products = all(product(width, rows) for width in _WIDTHS for rows in _ROWS)
    return products and all(map(convolution, _ROWS))


def _is_alike(answers: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bool:
    return len({answer.tobytes() for answer in answers}) == 1


def skip_where_kernels_are_uneven() -> None:
    """Skips the test that calls it on such a processor."""
    if not are_kernels_even():
        pytest.skip("TensorFlow's kernels on this processor answer by the place of a row")
