"""What every backend checks in the same way."""

import numpy as np
import pytest

from batchproof_server.base.backend import EngineSettings, batch_rows
from batchproof_server.base.signature import Signature, TensorSpec
from batchproof_server.base.validation import InvalidSettings, parse_settings

SIGNATURE = Signature(
    inputs=(TensorSpec("image", np.dtype(np.float32), (2,)),),
    outputs=(TensorSpec("scores", np.dtype(np.float32), (1,)),),
)


def test_a_row_count_that_is_a_bucket_is_returned() -> None:
    assert batch_rows(SIGNATURE, {"image": np.zeros((4, 2), np.float32)}, {2, 4}) == 4


def test_a_row_count_that_is_no_bucket_raises_and_names_the_buckets() -> None:
    with pytest.raises(ValueError, match="3 rows, expected one of the buckets 2, 16"):
        batch_rows(SIGNATURE, {"image": np.zeros((3, 2), np.float32)}, (16, 2))


def test_inputs_that_do_not_fit_raise_with_the_signature_s_sentence() -> None:
    with pytest.raises(ValueError, match=r'input "image" is float64 \[2, 2\], expected float32'):
        batch_rows(SIGNATURE, {"image": np.zeros((2, 2))}, (2,))


def test_negative_threads_and_unknown_keys_are_faults() -> None:
    assert parse_settings(EngineSettings, {}) == EngineSettings(0, 0)
    for values in ({"intra_op_threads": -1}, {"inter_op_threads": -1}, {"threads": 1}):
        with pytest.raises(InvalidSettings):
            parse_settings(EngineSettings, values)
