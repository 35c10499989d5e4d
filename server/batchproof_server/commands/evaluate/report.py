"""An evaluation as a few lines for people."""

from typing import Final

from batchproof.text import joined
from batchproof_server.commands.evaluate.classes import class_report, figures_text, label_report
from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.result import Evaluation, PathResult
from batchproof_server.offline.evaluation.two_classes import TwoClasses

_HEADINGS: Final = (
    "path", "buckets", "right", "accuracy", "NLL", "ECE",
    "other class", "other bits", "greatest difference",
)  # fmt: skip


def evaluation_report(evaluation: Evaluation, *, verbose: bool = False) -> str:
    """Verdict, what was evaluated, tables of paths and classes; ends without a line break.

    Args:
        evaluation: what is told.
        verbose: names every class, also where there are many.
    """
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
        lines += label_report(evaluation.several_labels, verbose=verbose)
    if evaluation.keras_note:
        lines.append(f"  Keras predict: {evaluation.keras_note}")
    lines += class_report(evaluation, verbose=verbose)
    lines += [f"  FAILED: {failure}" for failure in evaluation.failures]
    return joined(lines)


def _second_class(figures: TwoClasses, label: str) -> str:
    told = map(
        " ".join, zip(("precision", "recall", "ROC-AUC"), figures_text(figures), strict=True)
    )
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
