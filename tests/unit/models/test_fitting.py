"""What the answers to a row of zeros say of a declared output."""

import numpy as np
import pytest

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.output import OutputSettings
from batchproof_server.models.fitting import check_scores


def test_a_model_without_a_bias_answers_zeros_with_zeros_which_contradicts_no_kind() -> None:
    logits = OutputSettings(kind="logits", name="y")
    assert check_scores(logits, {"y": np.zeros((32, 10), np.float32)}, ()) == 10


def test_what_is_no_distribution_is_seen_in_one_row() -> None:
    declared = OutputSettings(kind="probabilities", name="y")
    with pytest.raises(ModelRefused) as refused:
        check_scores(declared, {"y": np.full((2, 3), -1.0, np.float32)}, ())
    assert "sum other than 1" in refused.value.findings[0]
