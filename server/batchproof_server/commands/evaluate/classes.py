"""What an evaluation found of each class, and of each label, for people."""

from collections.abc import Iterator, Sequence
from typing import Final

from batchproof_server.commands.per_class import MOST_IN_FULL, ClassTable, share_text
from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.classes import ClassFigures, class_figures, confusions
from batchproof_server.offline.evaluation.result import Evaluation
from batchproof_server.offline.evaluation.several_labels import LabelFigures, SeveralLabels
from batchproof_server.offline.evaluation.two_classes import TwoClasses

_MOST_PAIRS: Final = 10


def class_report(evaluation: Evaluation, *, verbose: bool) -> Iterator[str]:
    """The classes, and which are taken for which; nothing of independent labels.

    Args:
        evaluation: of single pictures.
        verbose: names every class and every pair.
    """
    counts, labels = evaluation.confusion, evaluation.subject.labels
    if not counts.size:
        return
    yield ""
    yield from _CLASSES.lines(class_figures(labels, counts), verbose=verbose)
    pairs = confusions(labels, counts)
    shown = pairs if verbose else pairs[:_MOST_PAIRS]
    if not shown:
        return
    rows = [
        (each.truth, each.answer, str(each.pictures), share_text(each.pictures, each.of_pictures))
        for each in shown
    ]
    yield ""
    yield from table([("confused most", "answered", "pictures", "of the class"), *rows], left=2)
    if more := pairs[len(shown) :]:
        pictures = sum(each.pictures for each in more)
        yield f"  {len(more):,} more pairs with {pictures:,} pictures; --verbose names all."


def _class_cells(classes: Sequence[ClassFigures] | Sequence[LabelFigures]) -> tuple[str, ...]:
    pictures = sum(each.pictures for each in classes)
    answered = sum(each.answered for each in classes)
    right = sum(each.right for each in classes)
    return str(pictures), str(answered), share_text(right, answered), share_text(right, pictures)


_CLASSES: Final[ClassTable[ClassFigures]] = ClassTable(
    ("class", "pictures", "answered", "precision", "recall"),
    _class_cells,
    lambda each: (each.right, each.pictures),
)


def label_report(found: SeveralLabels, *, verbose: bool) -> Iterator[str]:
    """A line for each label, and what they are together.

    Args:
        found: of single pictures.
        verbose: names every label.
    """
    last = (
        ("all, each alike (micro)", "", "", *figures_text(found.micro)),
        ("mean of the labels (macro)", "", "", *figures_text(found.macro)),
    )
    yield "  Right and accuracy are of whole sets of labels, ECE and NLL of their probability."
    yield f"  Of single labels {found.label_accuracy:.2%} are right."
    yield ""
    yield from _LABELS.lines(found.labels, last, verbose=verbose)
    if len(found.labels) > MOST_IN_FULL and not verbose:
        yield from _answered_wrongly(found.labels)


def _answered_wrongly(labels: Sequence[LabelFigures]) -> Iterator[str]:
    by_wrong = sorted(labels, key=lambda each: each.right - each.answered)
    rows = [
        (each.label, str(each.answered), str(each.answered - each.right))
        for each in by_wrong[:_MOST_PAIRS]
        if each.answered > each.right
    ]
    if rows:
        yield ""
        yield from table([("answered wrongly most", "answered", "wrong"), *rows])


def _label_cells(labels: Sequence[LabelFigures]) -> tuple[str, ...]:
    roc_auc = figures_text(labels[0].figures)[2] if len(labels) == 1 else ""
    return *_class_cells(labels), roc_auc


_LABELS: Final[ClassTable[LabelFigures]] = ClassTable(
    ("label", "pictures", "answered", "precision", "recall", "ROC-AUC"),
    _label_cells,
    lambda each: (each.right, each.pictures),
)


def figures_text(figures: TwoClasses) -> tuple[str, str, str]:
    """Precision, recall and ROC-AUC."""
    parts = ((figures.precision, ".2%"), (figures.recall, ".2%"), (figures.roc_auc, ".4f"))
    precision, recall, roc_auc = (
        "-" if value is None else format(value, form) for value, form in parts
    )
    return precision, recall, roc_auc
