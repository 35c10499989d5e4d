"""Why two answers to the same row differ: chance, position, co-batched rows, or NaN."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.probing.answers import Answer, same_bits
from batchproof_server.proof.probing.executing import answers_of
from batchproof_server.proof.probing.rows import ProbeRow
from batchproof_server.proof.probing.rules import probe_finding


@dataclass(frozen=True, slots=True)
class Suspect:
    """An answer that differs from the row's first one in the same bucket.

    Attributes:
        arrangement: how the micro-batch was composed.
        row: which probe row.
        place: its position in the micro-batch.
        difference: the greatest absolute difference.
        together: the probe rows of the micro-batch; None for one of NaN or infinities.
    """

    arrangement: str
    row: int
    place: int
    difference: float
    together: tuple[int | None, ...] = ()


def bucket_name(bucket_rows: int) -> str:
    """Where a finding of the probes is."""
    return f"bucket {bucket_rows}"


def attribute(
    backend: Backend, bucket_rows: int, rows: Sequence[ProbeRow], suspects: Sequence[Suspect]
) -> Iterator[Finding]:
    """The causes of what differed in one bucket, at least one.

    Chance and history explain everything else away: where the same micro-batch has two answers,
    nothing can be said about co-batched rows or position.

    Args:
        backend: executes again.
        bucket_rows: the bucket.
        rows: the probe rows.
        suspects: one or more, in this bucket.
    """
    where = bucket_name(bucket_rows)
    worst = _worst(suspects)
    by = f"by up to {worst.difference:.3g}" if math.isfinite(worst.difference) else "beyond measure"
    seen = (
        f'the row "{rows[worst.row].name}" at position {worst.place} differs {by} from its first '
        f"answer ({worst.arrangement})"
    )
    try:
        causes = list(_find_causes(backend, bucket_rows, rows, suspects))
    except BackendFailed:
        causes = []
    if not causes:
        # It did not show again: it depends on chance, or on what was executed before.
        causes = ["BP504"]
    for rule_id in causes:
        yield probe_finding(rule_id, where, seen)


def _find_causes(
    backend: Backend, bucket_rows: int, rows: Sequence[ProbeRow], suspects: Sequence[Suspect]
) -> Iterator[str]:
    worst = _worst(suspects)
    row = worst.row
    copies = [rows[row]] * bucket_rows
    alone = answers_of(backend, copies)
    if any(suspect.arrangement == "repeated" for suspect in suspects) or not _alike(
        alone, answers_of(backend, copies)
    ):
        yield "BP504"
        return
    position = not all(same_bits(alone[0], answer) for answer in alone)
    neighbours = _try_together(backend, rows, worst, alone) or _try_neighbours(
        backend, bucket_rows, rows, row, alone
    )
    if position:
        yield "BP503"
    if neighbours:
        yield "BP501"
    if not position and not neighbours and _only_beside_poison(suspects):
        yield "BP502"


def _worst(suspects: Sequence[Suspect]) -> Suspect:
    """The one with the greatest difference that is a number, if there is one."""
    return max(suspects, key=lambda each: (math.isfinite(each.difference), each.difference))


def _only_beside_poison(suspects: Sequence[Suspect]) -> bool:
    return all(suspect.arrangement == "poisoned" for suspect in suspects)


def _try_together(
    backend: Backend, rows: Sequence[ProbeRow], suspect: Suspect, alone: Sequence[Answer]
) -> bool:
    """Executes the suspect's micro-batch again, beside which rows it showed."""
    together = [rows[row] for row in suspect.together if row is not None]
    if len(together) != len(alone):
        return False
    return not same_bits(alone[suspect.place], answers_of(backend, together)[suspect.place])


def _try_neighbours(
    backend: Backend, bucket_rows: int, rows: Sequence[ProbeRow], row: int, alone: Sequence[Answer]
) -> bool:
    """Executes a row in each place beside other rows; whether its answer changes with them."""
    for place in range(bucket_rows):
        batch = [rows[(row + other - place) % len(rows)] for other in range(bucket_rows)]
        if not same_bits(alone[place], answers_of(backend, batch)[place]):
            return True
    return False


def _alike(left: Sequence[Answer], right: Sequence[Answer]) -> bool:
    return all(same_bits(one, other) for one, other in zip(left, right, strict=True))
