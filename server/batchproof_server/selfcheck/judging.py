"""An answer, its second try, and whether that came out the same, bit for bit. Pure."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array, Tensors
from batchproof_server.base.unguarded import unguarded
from batchproof_server.proof.probing.answers import difference, same_bits

Reason: TypeAlias = Literal["busy", "no company", "too large", "failed", "draining"]


@unguarded(eq=False)
class Answered:
    """One task of a micro-batch, with the answer that it was given.

    Attributes:
        request_id: of the request that it belongs to.
        kind: tasks of different kinds cannot share a micro-batch.
        inputs: rows on axis 0, as are the outputs.
        rows: 1 or more.
        position: of its first row in the micro-batch.
    """

    request_id: str
    kind: Hashable
    inputs: Tensors
    outputs: Tensors
    rows: int
    position: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A request that was selected and is not checked."""

    request_id: str
    reason: Reason


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
        identical: bit for bit: 0 is not -0; NaN is NaN, whatever its bits.
        greatest_difference: absolute, over all outputs; None where only one of two answers is
            finite, or they differ in shape or element type.
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
    if same_bits(_with_one_nan(expected), _with_one_nan(outputs)):
        return Verdict(identical=True, greatest_difference=0.0)
    greatest = difference(expected, outputs)
    finite = greatest if math.isfinite(greatest) else None
    return Verdict(identical=False, greatest_difference=finite)


def _with_one_nan(tensors: Tensors) -> Tensors:
    # Which NaN a sum gives depends on the order of its operands, and says nothing.
    return {
        name: np.where(np.isnan(array), array.dtype.type(np.nan), array)
        if array.dtype.kind == "f"
        else array
        for name, array in tensors.items()
    }


def _form(array: Array) -> tuple[str, tuple[int, ...]]:
    return array.dtype.str, array.shape
