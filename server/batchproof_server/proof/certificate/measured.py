"""From what the probes saw to what a certificate says of it. Pure."""

import itertools
from collections.abc import Iterator, Sequence

from batchproof_server.proof.certificate.certificate import AnswersDigest, Measured, Subject
from batchproof_server.proof.probing.answers import answers_digest
from batchproof_server.proof.probing.buckets import (
    bucket_classes,
    greatest_difference,
    served_buckets,
)
from batchproof_server.proof.probing.parity import Parity
from batchproof_server.proof.probing.probes import ProbeReport
from batchproof_server.proof.probing.rows import ProbeRow


def measured_of(
    subject: Subject, report: ProbeReport, rows: Sequence[ProbeRow], parity: Parity | None
) -> Measured:
    """What stands in a certificate of the probes.

    Args:
        subject: what was asked for.
        report: what the probes saw.
        rows: all that were tried, the refused ones too.
        parity: with the library that the model was made with; None where that executes it.
    """
    classes = bucket_classes(report.answers)
    accepted = {row.name for row in report.rows}
    return Measured(
        executions=report.executions,
        comparisons=report.comparisons,
        refused_rows=tuple(row.name for row in rows if row.name not in accepted),
        answers=tuple(_digests(report)),
        classes=classes,
        served_buckets_rows=served_buckets(classes, subject.consistency) or subject.buckets_rows,
        greatest_difference=greatest_difference(classes, report.answers, report.rows),
        state_digest=report.state_digest,
        parity=parity,
    )


def _digests(report: ProbeReport) -> Iterator[AnswersDigest]:
    many = [row.tells_roundings for row in report.rows]
    few = [not each for each in many]
    for bucket, answers in sorted(report.answers.items()):
        yield AnswersDigest(
            bucket,
            answers_digest(itertools.compress(answers, few)),
            answers_digest(itertools.compress(answers, many)),
        )
