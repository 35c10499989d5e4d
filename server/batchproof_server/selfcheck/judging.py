"""One answer that is tried again, and whether it came out the same, bit for bit. Pure."""

import math
from dataclasses import dataclass

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.proof.probing.answers import difference, same_bits


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One micro-batch to execute: an answered row among rows of other requests.

    Attributes:
        request_id: of the row under test.
        parts: ``bucket_rows`` parts of one row each; no padding is needed.
        bucket_rows: of the class of buckets that the answer came from.
        position: of the row under test; another than it had, as far as there is one.
        expected: the outputs that its caller was given, one row on axis 0.
        answered_bucket_rows: the bucket that they came from.
    """

    request_id: str
    parts: tuple[Tensors, ...]
    bucket_rows: int
    position: int
    expected: Tensors
    answered_bucket_rows: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        identical: bit for bit: 0 is not -0, and NaN is NaN when its bits agree.
        greatest_difference: absolute, over all outputs; None where an answer is finite in one
            company only, or has another shape or element type.
    """

    identical: bool
    greatest_difference: float | None


def judge(check: Check, outputs: Tensors) -> Verdict:
    """Compares the outputs of the row under test with those that its caller was given.

    Args:
        check: that was executed.
        outputs: of the row under test, one row on axis 0, with the names of the signature.
    """
    expected = check.expected
    if any(_form(expected[name]) != _form(outputs[name]) for name in expected):
        return Verdict(identical=False, greatest_difference=None)
    if same_bits(expected, outputs):
        return Verdict(identical=True, greatest_difference=0.0)
    greatest = difference(expected, outputs)
    finite = greatest if math.isfinite(greatest) else None
    return Verdict(identical=False, greatest_difference=finite)


def _form(array: Array) -> tuple[str, tuple[int, ...]]:
    return array.dtype.str, array.shape
