"""An evaluation as a few lines for people."""

from typing import Final

from batchproof.text import joined
from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.result import Evaluation, PathResult
from batchproof_server.offline.evaluation.several_labels import SeveralLabels
from batchproof_server.offline.evaluation.two_classes import TwoClasses

_SHOWN_LABELS: Final = 40
_HEADINGS: Final = (
    "path", "buckets", "right", "accuracy", "NLL", "ECE",
    "other class", "other bits", "greatest difference",
)  # fmt: skip


def evaluation_report(evaluation: Evaluation) -> str:
    """Verdict, what was evaluated, a table of the paths, notes; ends without a line break."""
    subject = evaluation.subject
    said = "SAME ANSWERS alone and in a batch" if evaluation.agrees else "DIFFERENT ANSWERS"
    taken = f"{subject.pictures} of {subject.pictures_there} pictures"
    lines = [
        f"{subject.model} version {subject.version}: {said}",
        f"  data          {subject.data}: {taken}, {len(subject.labels)} classes",
        f"  model         {subject.model_digest}",
        f"  certificate   {subject.verdict}, {subject.consistency}, {subject.certificate_digest}",
        f"  engine        {subject.engine}",
        *([f"  recipe        {check.note}"] if (check := evaluation.recipe_check) else []),
        "",
        *table([_HEADINGS, *map(_cells, evaluation.paths)]),
        "",
        "  Class, bits and difference are compared with the first path. NLL in nats.",
    ]
    if evaluation.second_class is not None:
        lines.append(f"  {_second_class(evaluation.second_class, subject.labels[1])}")
    if evaluation.several_labels is not None:
        lines += _several_labels(evaluation.several_labels)
    if evaluation.keras_note:
        lines.append(f"  Keras predict: {evaluation.keras_note}")
    lines += [f"  FAILED: {failure}" for failure in evaluation.failures]
    return joined(lines)


def _several_labels(found: SeveralLabels) -> list[str]:
    """A line for each label, and what they are together."""
    rows = [
        (each.label, str(each.pictures), str(each.answered), *_figures(each.figures))
        for each in found.labels[:_SHOWN_LABELS]
    ]
    more = len(found.labels) - len(rows)
    return [
        "  Right and accuracy are of whole sets of labels, ECE and NLL of their probability.",
        f"  Of single labels {found.label_accuracy:.2%} are right.",
        "",
        *table(
            [
                ("label", "pictures", "answered", "precision", "recall", "ROC-AUC"),
                *rows,
                *([(f"and {more} more", "", "", "", "", "")] if more > 0 else []),
                ("all, each alike (micro)", "", "", *_figures(found.micro)),
                ("mean of the labels (macro)", "", "", *_figures(found.macro)),
            ]
        ),
        "",
    ]


def _figures(figures: TwoClasses) -> tuple[str, str, str]:
    parts = ((figures.precision, ".2%"), (figures.recall, ".2%"), (figures.roc_auc, ".4f"))
    precision, recall, roc_auc = (
        "-" if value is None else format(value, form) for value, form in parts
    )
    return precision, recall, roc_auc


def _second_class(figures: TwoClasses, label: str) -> str:
    told = map(" ".join, zip(("precision", "recall", "ROC-AUC"), _figures(figures), strict=True))
    return f'Class "{label}": {", ".join(told)}.'


def _cells(path: PathResult) -> tuple[str, ...]:
    difference = path.difference
    compared: tuple[str, ...] = ("", "", "")
    if difference is not None:
        counted = (difference.top1_pictures, difference.bits_pictures)
        compared = (*map(str, counted), f"{difference.greatest:.3g}")
    return (
        path.title,
        ", ".join(map(str, path.buckets_rows)) or "-",
        str(path.right),
        f"{path.accuracy:.2%}",
        f"{path.nll:.4f}",
        f"{path.ece:.4f}",
        *compared,
    )
