"""Tables of a thousand classes show what matters, those of a few show everything."""

import json

import numpy as np
import pytest

from batchproof_server.base.signature import Array
from batchproof_server.commands.evaluate.report import evaluation_report
from batchproof_server.offline.evaluation.measures import reliability
from batchproof_server.offline.evaluation.result import EvaluatedModel, Evaluation, PathResult
from batchproof_server.offline.evaluation.several_labels import several_labels

CLASSES = 1000
LABELS = tuple(f"label{number}" for number in range(CLASSES))
LOW, LOWER, ABSENT = 700, 900, 30


def evaluation(labels: tuple[str, ...], confusion: Array) -> Evaluation:
    """Of ten pictures each."""
    subject = EvaluatedModel(
        "shoes", 1, "a", "b", "numpy", "c", "proven", "strict", (1, 2), "data", 10, 10, labels
    )
    path = PathResult("single", 1, (1,), 9, 0.9, 0.1, 0.1, None)
    diagram = reliability(np.array([0.9]), np.array([True]))
    return Evaluation(subject, (path,), confusion, diagram, "")


@pytest.fixture(scope="module")
def thousand() -> Evaluation:
    """All right but two classes: one has seven wrong of ten, one eight; thirty are absent."""
    counts = np.diag(np.full(CLASSES, 10))
    counts[LOW, LOW], counts[LOW, 3], counts[LOW, 4] = 3, 5, 2
    counts[LOWER, LOWER], counts[LOWER, 5] = 2, 8
    counts[-ABSENT:] = 0
    counts[10, -1] = 2
    return evaluation(LABELS, counts)


def rows(report: str, first: str) -> list[list[str]]:
    """The rows of the table whose headings begin so."""
    lines = report.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(f"  {first}  ")]
    end = next(
        (number for number in range(start, len(lines)) if "  " not in lines[number][2:]), len(lines)
    )
    return [line.split() for line in lines[start + 1 : end]]


def test_of_a_thousand_classes_the_lowest_are_named_and_the_others_counted(
    thousand: Evaluation,
) -> None:
    report = evaluation_report(thousand)
    assert rows(report, "class") == [
        ["label900", "10", "2", "100.00%", "20.00%"],
        ["label700", "10", "3", "100.00%", "30.00%"],
        ["label10", "12", "10", "100.00%", "83.33%"],
        ["the", "967", "others", "9670", "9685", "99.85%", "100.00%"],
    ]
    assert "  30 have no pictures here; 2 pictures are answered with one of them." in report
    assert rows(report, "confused most")[0] == ["label900", "label5", "8", "80.00%"]


def test_verbose_names_every_class_and_every_pair(thousand: Evaluation) -> None:
    report = evaluation_report(thousand, verbose=True)
    assert [row[0] for row in rows(report, "class")] == list(LABELS)
    assert len(rows(report, "confused most")) == 4


def test_json_has_every_cell(thousand: Evaluation) -> None:
    document = json.loads(thousand.to_json())
    pictures = [cell["pictures"] for cell in document["confusion"]]
    assert sum(pictures) == thousand.confusion.sum()
    assert len(document["subject"]["labels"]) == CLASSES


def test_a_few_classes_are_all_named_in_their_order() -> None:
    report = evaluation_report(evaluation(("a", "b"), np.array([[5, 5], [0, 0]])))
    assert rows(report, "class") == [
        ["a", "10", "5", "100.00%", "50.00%"],
        ["b", "0", "5", "0.00%", "-"],
    ]
    assert "--verbose" not in report


def test_the_most_confused_pairs_of_many_are_named_and_the_others_counted() -> None:
    counts = np.full((5, 5), 2) + np.diag(np.full(5, 5))
    report = evaluation_report(evaluation(tuple("abcde"), counts))
    assert len(rows(report, "confused most")) == 10
    assert "  10 more pairs with 20 pictures; --verbose names all." in report


def test_of_a_thousand_labels_the_lowest_and_the_most_wrongly_answered_are_named() -> None:
    numbers = np.random.default_rng(0)
    truth = numbers.random((60, CLASSES)) < 0.2
    truth[:, :ABSENT] = False
    answers = truth.copy()
    answers[:, LOW] = False
    answers[:, LOWER] = True
    found = several_labels(LABELS, truth, answers, answers.astype(float))
    one = evaluation(LABELS, np.zeros((0, 0), np.int64))
    whole = Evaluation(
        one.subject, one.paths, one.confusion, one.reliability, "", several_labels=found
    )
    report = evaluation_report(whole)
    named, others, *_ = rows(report, "label")
    assert (named[0], others[:3]) == ("label700", ["the", "969", "others"])
    assert "  30 have no pictures here." in report
    wrong = 60 - truth[:, LOWER].sum()
    assert rows(report, "answered wrongly most") == [["label900", "60", str(wrong)]]
    assert "label999 " in evaluation_report(whole, verbose=True)
