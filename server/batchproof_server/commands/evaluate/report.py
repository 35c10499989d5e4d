"""An evaluation as a few lines for people."""

from typing import Final

from batchproof_server.commands.tables import table
from batchproof_server.offline.evaluation.result import Evaluation, PathResult

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
    if evaluation.keras_note:
        lines.append(f"  Keras predict: {evaluation.keras_note}")
    lines += [f"  FAILED: {failure}" for failure in evaluation.failures]
    return "\n".join(lines)


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
