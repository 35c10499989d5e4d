"""Whether an engine answers as the library that the model was made with. Pure over ``Backend``.

Two engines add up in another order, so their last bits differ; what rounding explains between two
row counts (``rounding``), it explains between two engines. The class with the greatest score must
be the same for every ordinary row: sums of extreme numbers overflow in one order and not in
another, and a row on a threshold may fall to either side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.probing.answers import Answer, difference
from batchproof_server.proof.probing.probes import ProbeReport, execute_co_batched
from batchproof_server.proof.probing.rounding import row_size, worst_excess
from batchproof_server.proof.probing.rows import ProbeRow
from batchproof_server.proof.probing.rules import probe_finding


@dataclass(frozen=True, slots=True)
class Parity:
    """How near an engine's answers are to those of the library that the model was made with.

    Attributes:
        engine: that library, with its version.
        rows: how many answers were compared, all to ordinary rows.
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
    reference: Backend, reference_rows: int, report: ProbeReport, *, scores: str, coarse: bool
) -> SeenParity:
    """Compares the answers of the largest bucket with those of another engine.

    Args:
        reference: the library that the model was made with.
        reference_rows: the row count that it executes.
        report: of probes that found no fault.
        scores: the output of the class scores; empty where there is none.
        coarse: the model computes in float16 or bfloat16.
    """
    ordinary = [number for number, row in enumerate(report.rows) if row.is_ordinary]
    rows = [report.rows[number] for number in ordinary]
    answers = report.answers[max(report.answers)]
    ours = [answers[number] for number in ordinary]
    try:
        theirs = execute_co_batched(reference, reference_rows, rows)
    except BackendFailed:
        detail = f"{reference.engine} fails on rows that this engine answers"
        return SeenParity((probe_finding("BP514", reference.engine, detail),))
    greatest = max(
        (difference(one, other) for one, other in zip(theirs, ours, strict=True)), default=0.0
    )
    return SeenParity(
        (
            *_beyond_rounding(reference.engine, rows, theirs, ours, coarse=coarse),
            *_other_classes(reference.engine, rows, theirs, ours, scores),
        ),
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


def _other_classes(
    engine: str,
    rows: Sequence[ProbeRow],
    theirs: Sequence[Answer],
    ours: Sequence[Answer],
    scores: str,
) -> Iterator[Finding]:
    if not scores:
        return
    for row, one, other in zip(rows, theirs, ours, strict=True):
        wanted, came = (int(np.argmax(answer[scores])) for answer in (one, other))
        if wanted != came:
            detail = f'the row "{row.name}" gets the class {came}, and {wanted} from {engine}'
            yield probe_finding("BP515", engine, detail)
            return
