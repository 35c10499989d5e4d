"""Whether it counts how many rows are executed together: last bits may differ, and no more.

Every bucket is compared with every other one, and with each row executed by itself. That is what
the model says where nothing is batched and nothing is padded, whether or not 1 is a bucket.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.probing.answers import Answer, difference, same_bits
from batchproof_server.proof.probing.buckets import bucket_classes, served_buckets
from batchproof_server.proof.probing.executing import execute_co_batched
from batchproof_server.proof.probing.probes import ProbeReport
from batchproof_server.proof.probing.rounding import Excess, row_size, worst_excess
from batchproof_server.proof.probing.rows import ProbeRow
from batchproof_server.proof.probing.rules import probe_finding

SINGLE: Final = "single"
"""The arrangement: each row by itself, without padding."""

Answers = Mapping[int, Sequence[Answer]]


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What was seen of the row counts.

    Attributes:
        findings: BP508 for last bits, BP512 for more, BP513 where one row cannot be executed.
        executions: of one row by itself, as far as 1 was not asked for.
        comparisons: of an answer to one row by itself with another to the same row.
        single: the answers to one row by itself, where they are those of buckets that are served
            bit for bit, although 1 was not asked for: then 1 is a bucket that can be served.
    """

    findings: tuple[Finding, ...]
    executions: int = 0
    comparisons: int = 0
    single: tuple[Answer, ...] = ()


def compare_row_counts(
    backend: Backend, report: ProbeReport, *, never_alone: str, coarse: bool
) -> RowCounts:
    """Judges the differences between buckets, and between them and one row by itself.

    Args:
        backend: executes one row, unless ``never_alone``.
        report: of probes that found no fault.
        never_alone: why the backend has no function for one row; empty where it has.
        coarse: the model computes in float16 or bfloat16.
    """
    if 1 in report.answers:
        return RowCounts(tuple(_apart(report.answers, report.rows, coarse=coarse)))
    if never_alone:
        return _never_alone(report, never_alone, coarse=coarse)
    try:
        single = execute_co_batched(backend, 1, report.rows)
    except BackendFailed:
        return _never_alone(report, "the model fails on one row", coarse=coarse)
    every = {1: single, **report.answers}
    apart = tuple(_apart(every, report.rows, coarse=coarse))
    seen = RowCounts(apart, len(single), len(single) * len(report.answers))
    served = served_buckets(bucket_classes(every), "strict")
    if not apart and served != (1,) and 1 in served:
        return _as_bucket(backend, report, single, seen)
    return replace(seen, findings=apart or tuple(_last_bits(single, report)))


def _as_bucket(
    backend: Backend, report: ProbeReport, single: tuple[Answer, ...], seen: RowCounts
) -> RowCounts:
    """Executes each row by itself again, as every bucket was: what is served repeats its bits."""
    seen = replace(seen, executions=2 * seen.executions, comparisons=seen.comparisons + len(single))
    if not _same(single, execute_co_batched(backend, 1, report.rows)):
        detail = "one row by itself, executed twice, has other bits"
        return replace(seen, findings=(probe_finding("BP504", "one row", detail),))
    return replace(seen, single=single)


def _same(single: Sequence[Answer], answers: Sequence[Answer]) -> bool:
    return all(same_bits(one, other) for one, other in zip(single, answers, strict=True))


def _never_alone(report: ProbeReport, why: str, *, coarse: bool) -> RowCounts:
    compared = ", ".join(map(str, report.answers))
    note = probe_finding("BP513", "one row", f"{why}; only the buckets {compared} were compared")
    return RowCounts((note, *_apart(report.answers, report.rows, coarse=coarse)))


def _apart(answers: Answers, rows: Sequence[ProbeRow], *, coarse: bool) -> Iterator[Finding]:
    """BP512 for the two row counts that are furthest apart, where rounding does not explain it."""
    judged = [number for number, row in enumerate(rows) if row.is_judged]
    sizes = [row_size(rows[number].tensors) for number in judged]
    seen = {
        members[0]: [answers[members[0]][number] for number in judged]
        for members in bucket_classes(answers)
    }
    found = [
        (excess, fewer, more)
        for fewer, more in itertools.combinations(seen, 2)
        if (excess := worst_excess(seen[fewer], seen[more], sizes, coarse=coarse))
    ]
    if found:
        excess, fewer, more = max(found, key=lambda each: each[0].times)
        detail = _sentence(excess, rows[judged[excess.row]].name, fewer, more)
        yield probe_finding("BP512", f'output "{excess.output}"', detail)


def _sentence(excess: Excess, row: str, fewer: int, more: int) -> str:
    return (
        f'the answers to the row "{row}" among {fewer} and among {more} rows differ by '
        f"{excess.difference:.3g}, where rounding explains {excess.explained:.3g}"
    )


def _last_bits(single: Sequence[Answer], report: ProbeReport) -> Iterator[Finding]:
    greatest = max(
        (
            difference(one, other)
            for answers in report.answers.values()
            for one, other, row in zip(single, answers, report.rows, strict=True)
            if row.is_ordinary
        ),
        default=0.0,
    )
    if greatest > 0:
        detail = f"one row by itself, which is no bucket here, differs by up to {greatest:.3g}"
        yield probe_finding("BP508", "one row", detail)
