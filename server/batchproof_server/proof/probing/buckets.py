"""Which buckets give the same bits, and which of them are served. Pure."""

import itertools
import math
from collections.abc import Mapping, Sequence

from batchproof_server.proof.probing.answers import Answer, difference, same_bits
from batchproof_server.proof.probing.rows import ProbeRow
from batchproof_server.proof.settings import Consistency


def bucket_classes(answers: Mapping[int, Sequence[Answer]]) -> tuple[tuple[int, ...], ...]:
    """Puts buckets together whose answers to all probe rows are bit-identical.

    Args:
        answers: for each bucket the answers to the same rows in the same order.

    Returns:
        Ascending buckets in ascending classes. Being bit-identical is an equivalence relation, so
        the classes are disjoint and hold every bucket.
    """
    classes: list[list[int]] = []
    for bucket in sorted(answers):
        for members in classes:
            if _identical(answers[members[0]], answers[bucket]):
                members.append(bucket)
                break
        else:
            classes.append([bucket])
    return tuple(tuple(members) for members in classes)


def _identical(left: Sequence[Answer], right: Sequence[Answer]) -> bool:
    return all(same_bits(one, other) for one, other in zip(left, right, strict=True))


def served_buckets(classes: Sequence[tuple[int, ...]], consistency: Consistency) -> tuple[int, ...]:
    """The buckets to serve, ascending: under ``tolerant`` all, under ``strict`` one class.

    It is the class that reaches furthest: whose largest bucket is the most times its smallest. A
    lone row is padded to the smallest and many rows share the largest, so this is least waste for
    both. Of classes that reach equally far it is the one with the smallest bucket. No time is
    measured for it, so every replica decides alike.

    Args:
        classes: of buckets with the same bits.
        consistency: what was asked for.
    """
    if consistency == "tolerant":
        return tuple(sorted(itertools.chain.from_iterable(classes)))
    return max(classes, key=lambda each: (max(each) / min(each), -min(each)), default=())


def greatest_difference(
    classes: Sequence[tuple[int, ...]],
    answers: Mapping[int, Sequence[Answer]],
    rows: Sequence[ProbeRow],
) -> float | None:
    """The greatest absolute difference between classes over all ordinary rows.

    Extreme rows have answers of any magnitude, and rows on an edge may fall to either side of it.
    Both would drown what a picture can meet.

    Returns:
        None where an answer is finite in one class and not in another.
    """
    ordinary = [number for number, row in enumerate(rows) if row.is_ordinary]
    greatest = max(
        (
            difference(answers[one[0]][row], answers[other[0]][row])
            for one, other in itertools.combinations(classes, 2)
            for row in ordinary
        ),
        default=0.0,
    )
    return greatest if math.isfinite(greatest) else None
