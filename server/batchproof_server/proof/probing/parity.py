"""Whether an engine answers as the library that the model was made with. Pure over ``Backend``.

Two engines add up in another order, so their last bits differ; what rounding explains between two
row counts (``rounding``), it explains between two engines. What is answered must be the same for
every ordinary row, read as its output was declared: the class or the labels, with their thresholds.
Where a threshold decides, numbers that rounding explains count as equal, since an answer that lies
on it may fall to either side; of classes that exclude each other the first is the same without any
allowance. Sums of extreme numbers overflow in one order and not in another, so extreme rows are
left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed, cut
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.probing.answers import Answer, difference
from batchproof_server.proof.probing.buckets import bucket_classes, served_buckets
from batchproof_server.proof.probing.executing import execute_co_batched
from batchproof_server.proof.probing.probes import ProbeReport
from batchproof_server.proof.probing.rounding import as_far_as_rounded, row_size, worst_excess
from batchproof_server.proof.probing.rows import ProbeRow
from batchproof_server.proof.probing.rules import probe_finding


@dataclass(frozen=True, slots=True)
class Parity:
    """How near an engine's answers are to those of the library that the model was made with.

    Attributes:
        engine: that library, with its version.
        rows: how many answers were compared, all to rows that are judged.
        greatest_difference: absolute; null where an answer is finite in one of them only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    engine: str
    rows: int
    greatest_difference: float | None


@dataclass(frozen=True, slots=True)
class SeenParity:
    """What was seen of two engines.

    Attributes:
        findings: BP514 and BP515.
        parity: as the certificate has it; None where the other engine did not answer.
    """

    findings: tuple[Finding, ...]
    parity: Parity | None = None


def compare_engines(
    reference: Backend,
    reference_rows: int,
    report: ProbeReport,
    *,
    outputs: Sequence[OutputSettings],
    coarse: bool,
) -> SeenParity:
    """Compares the answers of a bucket that is served with those of another engine.

    Args:
        reference: the library that the model was made with.
        reference_rows: the row count that it executes.
        report: of probes that found no fault.
        outputs: as declared, each with its name; raw ones name no classes.
        coarse: the model computes in float16 or bfloat16.
    """
    judged = [number for number, row in enumerate(report.rows) if row.is_judged]
    rows = [report.rows[number] for number in judged]
    answers = report.answers[served_buckets(bucket_classes(report.answers), "strict")[-1]]
    ours = [answers[number] for number in judged]
    try:
        theirs = execute_co_batched(reference, reference_rows, rows)
    except BackendFailed:
        detail = f"{reference.engine} fails on rows that this engine answers"
        return SeenParity((probe_finding("BP514", reference.engine, detail),))
    found = list(_beyond_rounding(reference.engine, rows, theirs, ours, coarse=coarse))
    for output in outputs:
        found += _other_answers(reference.engine, rows, theirs, ours, output, coarse=coarse)
    greatest = max(
        (difference(one, other) for one, other in zip(theirs, ours, strict=True)), default=0.0
    )
    return SeenParity(
        tuple(found),
        Parity(reference.engine, len(rows), greatest if np.isfinite(greatest) else None),
    )


def _beyond_rounding(
    engine: str,
    rows: Sequence[ProbeRow],
    theirs: Sequence[Answer],
    ours: Sequence[Answer],
    *,
    coarse: bool,
) -> Iterator[Finding]:
    sizes = [row_size(row.tensors) for row in rows]
    excess = worst_excess(theirs, ours, sizes, coarse=coarse)
    if excess is not None:
        detail = (
            f'output "{excess.output}": the answers to the row "{rows[excess.row].name}" differ by '
            f"{excess.difference:.3g}, where rounding explains {excess.explained:.3g}"
        )
        yield probe_finding("BP514", engine, detail)


def _other_answers(
    engine: str,
    rows: Sequence[ProbeRow],
    theirs: Sequence[Answer],
    ours: Sequence[Answer],
    output: OutputSettings,
    *,
    coarse: bool,
) -> Iterator[Finding]:
    """BP515 for the first row that gets another answer."""
    name = output.name
    if output.form is None or name is None:
        return
    wanted = [answer[name] for answer in theirs]
    came = [answer[name] for answer in ours]
    if output.is_binary or output.is_multi_label:
        sizes = [row_size(row.tensors) for row in rows]
        came = as_far_as_rounded(wanted, came, sizes, coarse=coarse)
    for row, one, other in zip(rows, wanted, came, strict=True):
        expected, found = _answered(output, one), _answered(output, other)
        if expected != found:
            detail = f'the row "{row.name}" gets {cut(found)}, and {cut(expected)} from {engine}'
            yield probe_finding("BP515", engine, f'output "{name}": {detail}')
            return


def _answered(output: OutputSettings, numbers: Array) -> str:
    """What somebody who sends the row is told, in words."""
    _, kind = output.scores()
    if not np.isfinite(numbers).all():
        return "no finite answer"
    scores = score(numbers[np.newaxis], kind, output.limit)
    if not output.is_multi_label:
        return f"the class {scores.decided[0]}"
    labels = scores.labels(0)
    return f"the labels {', '.join(map(str, sorted(labels)))}" if labels else "no label"
