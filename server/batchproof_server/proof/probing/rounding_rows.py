"""Tells apart buckets that round otherwise, by many rows of which each is executed a few times.

Kernels of two buckets may add up in another order and round most rows alike: of a network of two
dense layers, one row in twenty shows it by a last bit. The probe rows, each of which is executed in
every arrangement, are too few for that. These rows are many and are executed twice in each bucket,
the second time at other places. A difference that shows in a share q of all rows is missed with
probability (1 - q)^n.

What counts is how many numbers can differ. So their number follows from how many numbers answer a
row, and not from the time that it takes: two starts execute the same rows. Pure over ``Backend``.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Signature, TensorSpec
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.probing.answers import Answer, difference, same_bits, stack
from batchproof_server.proof.probing.attribution import Suspect, attribute, bucket_name
from batchproof_server.proof.probing.executing import (
    answers_of,
    answers_to,
    chunks,
    execute_co_batched,
)
from batchproof_server.proof.probing.probes import ProbeReport
from batchproof_server.proof.probing.rows import (
    NOISE,
    Dtype,
    Fill,
    Generator,
    ProbeRow,
    filled,
    within_type,
)
from batchproof_server.proof.probing.rules import probe_finding

ARRANGEMENT: Final = "rounding"
MIN_ROWS: Final = 32
MAX_ROWS: Final = 512
ANSWER_NUMBERS: Final = 512
"""How many numbers all answers together have, as far as the limits on rows allow."""
INPUT_NUMBERS: Final = 2**23
"""How many numbers all rows together have at most, unless ``MIN_ROWS`` have more."""

# Keys of the noise, away from those of the other rows.
_FIRST_NUMBER: Final = 2_000
# Of the deviation of a sample: enough for other roundings, and still a picture.
_VARIATION: Final = 0.05


def rounding_rows(signature: Signature, probes: Sequence[ProbeRow]) -> tuple[ProbeRow, ...]:
    """Rows of noise, and samples with noise added; the same for the same arguments.

    Args:
        signature: whose inputs are filled.
        probes: the other rows; these have their shapes, and vary the samples among them.
    """
    like = probes[-1].tensors
    samples = {
        row.name: partial(_vary, next(iter(row.tensors.values())))
        for row in probes
        if row.kind == "sample"
    }
    fills: Mapping[str, Fill] = {**NOISE, **samples}
    wanted = _count_rows(signature.outputs, sum(array.size for array in like.values()))
    count = math.ceil(wanted / len(fills))  # of each kind
    shapes = {name: (count, *array.shape) for name, array in like.items()}
    made = [
        ProbeRow(
            f"{name}, rounding row {number}",
            "rounding",
            {each: array[number] for each, array in rows.items()},
        )
        for key, (name, fill) in enumerate(fills.items(), _FIRST_NUMBER)
        for rows in [filled(signature, shapes, fill, key)]
        for number in range(count)
    ]
    return tuple(made[:wanted])


def compare_rounding(
    backend: Backend,
    report: ProbeReport,
    rows: Sequence[ProbeRow],
    count: Callable[[int, int], None],
) -> ProbeReport:
    """Adds the answers to many rows, in every bucket that the other probes found good.

    Args:
        backend: executes them.
        report: of probes that found no fault.
        rows: what ``rounding_rows`` made; those that the model refuses by themselves are left out.
        count: told how many of how many buckets are done.

    Returns:
        A report whose answers are those to its rows. A bucket whose places round otherwise has the
        findings that the probes would have.
    """
    total = len(report.answers)
    count(0, total)
    kept = _accepted(backend, report.answers, rows)
    for done, bucket in enumerate(sorted(report.answers), 1):
        report = _with_bucket(backend, report, bucket, kept)
        count(done, total)
    return replace(report, rows=(*report.rows, *kept))


def _count_rows(outputs: Sequence[TensorSpec], input_numbers: int) -> int:
    answer = sum(math.prod(size or 1 for size in spec.row_shape) for spec in outputs)
    wanted = math.ceil(ANSWER_NUMBERS / max(answer, 1))
    return max(MIN_ROWS, min(wanted, MAX_ROWS, INPUT_NUMBERS // max(input_numbers, 1)))


def _vary(sample: Array, shape: tuple[int, ...], dtype: Dtype, numbers: Generator) -> Array:
    values = sample.astype(np.float64)
    noise = numbers.normal(0, _VARIATION * max(float(values.std()), 1e-3), shape)
    return within_type(values + noise, dtype)


def _accepted(
    backend: Backend, buckets_rows: Collection[int], rows: Sequence[ProbeRow]
) -> Sequence[ProbeRow]:
    """The rows that the model does not fail on; each by itself only where it fails on some."""
    smallest, largest = min(buckets_rows), max(buckets_rows)
    try:
        execute_co_batched(backend, largest, rows)
    except BackendFailed:
        return [row for row in rows if _is_accepted(backend, smallest, row)]
    return rows


def _is_accepted(backend: Backend, bucket_rows: int, row: ProbeRow) -> bool:
    try:
        answers_of(backend, [row] * bucket_rows)
    except BackendFailed:
        return False
    return True


def _with_bucket(
    backend: Backend, report: ProbeReport, bucket_rows: int, rows: Sequence[ProbeRow]
) -> ProbeReport:
    if not rows:
        return report
    others = {bucket: known for bucket, known in report.answers.items() if bucket != bucket_rows}
    try:
        known = execute_co_batched(backend, bucket_rows, rows)
        suspects = list(_elsewhere(backend, bucket_rows, rows, known))
    except BackendFailed:
        detail = "the model fails on rows that it accepts elsewhere"
        failed = probe_finding("BP506", bucket_name(bucket_rows), detail)
        return replace(report, answers=others, findings=(*report.findings, failed))
    executions = 2 * len(list(chunks(len(rows), bucket_rows)))
    findings = tuple(attribute(backend, bucket_rows, rows, suspects)) if suspects else ()
    return replace(
        report,
        answers={**report.answers, bucket_rows: (*report.answers[bucket_rows], *known)},
        findings=(*report.findings, *findings),
        faults={**report.faults, **_faults(bucket_rows, findings)},
        executions={
            **report.executions,
            ARRANGEMENT: report.executions.get(ARRANGEMENT, 0) + executions,
        },
        comparisons=report.comparisons + len(rows),
    )


def _faults(bucket_rows: int, findings: Sequence[Finding]) -> dict[int, frozenset[str]]:
    rules = frozenset(finding.rule_id for finding in findings)
    return {bucket_rows: rules} if rules else {}


def _elsewhere(
    backend: Backend, bucket_rows: int, rows: Sequence[ProbeRow], known: Sequence[Answer]
) -> Iterator[Suspect]:
    """Executes each micro-batch again, turned by another number of places; what differs."""
    together = stack([row.tensors for row in rows])
    for number, chunk in enumerate(chunks(len(rows), bucket_rows)):
        by = 1 + number % max(bucket_rows - 1, 1)
        turned = chunk[by % bucket_rows :] + chunk[: by % bucket_rows]
        got = answers_to(backend, {name: array[turned] for name, array in together.items()})
        for place, (row, answer) in enumerate(zip(turned, got, strict=True)):
            if not same_bits(known[row], answer):
                by_value = difference(known[row], answer)
                yield Suspect(ARRANGEMENT, row, place, by_value, tuple(turned))
