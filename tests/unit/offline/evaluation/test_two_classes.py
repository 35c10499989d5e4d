"""Precision, recall and the area under the ROC curve against plain counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.offline.evaluation.two_classes import TwoClasses, two_classes

pictures = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=40
)


@given(pictures)
def test_the_figures_equal_plain_counting(made: list[tuple[int, int, int]]) -> None:
    truth, answers, tenths = (np.array(column) for column in zip(*made, strict=True))
    figures = two_classes(truth, answers, (tenths / 10).astype(np.float32))
    asked = [row for row in made if row[1] == 1]
    true = [row for row in made if row[0] == 1]
    both = [row for row in made if row[:2] == (1, 1)]
    pairs = [
        (one[2] > other[2]) + (one[2] == other[2]) / 2
        for one in true
        for other in made
        if other[0] == 0
    ]
    assert figures.precision == (len(both) / len(asked) if asked else None)
    assert figures.recall == (len(both) / len(true) if true else None)
    assert figures.roc_auc == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_a_model_that_separates_the_classes_has_all_of_it() -> None:
    truth = np.array([0, 0, 1, 1])
    assert two_classes(truth, truth, np.array([0.1, 0.2, 0.8, 0.9])) == TwoClasses(1.0, 1.0, 1.0)
