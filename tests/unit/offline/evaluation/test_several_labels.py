"""The figures of independent labels, against counts by hand."""

import numpy as np
import pytest

from batchproof_server.offline.evaluation.several_labels import several_labels

TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
ANSWERS = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], bool)
P = np.array([[0.9, 0.7, 0.1], [0.8, 0.9, 0.2], [0.3, 0.4, 0.3], [0.1, 0.2, 0.4]])


def test_each_label_has_its_figures() -> None:
    found = several_labels(("a", "b", "c"), TRUTH, ANSWERS, P)
    first, second, third = found.labels
    assert (first.label, first.pictures, first.answered) == ("a", 2, 2)
    assert (first.figures.precision, first.figures.recall, first.figures.roc_auc) == (1, 1, 1)
    assert (second.figures.precision, second.figures.recall) == (0.5, 0.5)
    assert second.figures.roc_auc == pytest.approx(0.75)
    assert (third.figures.precision, third.figures.recall, third.figures.roc_auc) == (None,) * 3


def test_all_together_count_every_label_or_every_figure_alike() -> None:
    found = several_labels(("a", "b", "c"), TRUTH, ANSWERS, P)
    assert found.label_accuracy == 10 / 12
    assert (found.micro.precision, found.micro.recall) == (3 / 4, 3 / 4)
    assert (found.macro.precision, found.macro.recall) == (0.75, 0.75)
    assert found.macro.roc_auc == pytest.approx(0.875)
