"""An evaluation as a few lines for people."""

from typing import Final

from batchproof.text import joined
from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.result import Evaluation, PathResult
from batchproof_server.offline.evaluation.two_classes import TwoClasses

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
        "",
        *table([_HEADINGS, *map(_cells, evaluation.paths)]),
        "",
        "  Class, bits and difference are compared with the first path. NLL in nats.",
    ]
    if evaluation.second_class is not None:
        lines.append(f"  {_second_class(evaluation.second_class, subject.labels[1])}")
    if evaluation.keras_note:
        lines.append(f"  Keras predict: {evaluation.keras_note}")
    lines += [f"  FAILED: {failure}" for failure in evaluation.failures]
    return joined(lines)


def _second_class(figures: TwoClasses, label: str) -> str:
    parts = (
        ("precision", figures.precision, ".2%"),
        ("recall", figures.recall, ".2%"),
        ("ROC-AUC", figures.roc_auc, ".4f"),
    )
    told = (
        f"{name} {'-' if value is None else format(value, form)}" for name, value, form in parts
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
