"""What callers bring along: files and a label, checked before anything is measured."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from batchproof_server.base.errors import cut
from batchproof_server.base.files import TooLarge, read_named, read_text
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.diagnosis.case import Given
from batchproof_server.offline.datasets.folder import class_names

_MAX_TENSOR_BYTES: Final = 1 << 28
_MAX_SCORES_BYTES: Final = 1 << 22


def read_given(
    label: str | None,
    tensor: Path | None,
    scores: Path | None,
    spec: TensorSpec,
    labels: Sequence[str],
) -> Given:
    """Checks label, tensor and scores against the model.

    Args:
        label: the true class: its label, or its index.
        tensor: an .npy file of one row, with or without the axis of rows.
        scores: an .npy or .json file of one number for each class.
        spec: of the model's input.
        labels: of the classes.

    Raises:
        ValueError: one of them cannot be used; says what came and what was expected.
    """
    return Given(
        label=None if label is None else class_of(label, labels),
        tensor=None if tensor is None else _tensor(tensor, spec),
        scores=None if scores is None else _scores(scores, labels),
    )


def class_of(label: str, labels: Sequence[str]) -> int:
    """The class that a label or an index names.

    Raises:
        ValueError: none.
    """
    found = class_names(labels).index_of(label)
    if found is None:
        known = ", ".join(labels[:20]) + (" and others" if len(labels) > 20 else "")  # noqa: PLR2004 - so many are read
        raise ValueError(f'label: unknown "{cut(label)}", expected one of {known}, or an index')
    return found


def _tensor(file: Path, spec: TensorSpec) -> Array:
    values = _npy(file, "--tensor", _MAX_TENSOR_BYTES)
    return checked_tensor(values, f"--tensor: {file}", spec)


def checked_tensor(values: Array, what: str, spec: TensorSpec) -> Array:
    """The caller's tensor as one row of the model's input.

    Args:
        values: with or without the axis of rows.
        what: names it in errors.
        spec: of the input.

    Raises:
        ValueError: it is no such row, or not finite.
    """
    shown = f"{values.dtype.name} {list(values.shape)}"
    if values.ndim == len(spec.row_shape) + 1 and len(values) == 1:
        values = values[0]
    sizes = zip(values.shape, spec.row_shape, strict=False)
    if values.ndim != len(spec.row_shape) or any(want not in (None, came) for came, want in sizes):
        raise ValueError(f"{what} is {shown}, expected one row of {spec}")
    _check_finite(what, values)
    if not np.can_cast(values.dtype, spec.dtype, casting="same_kind") and not (
        values.dtype.kind in "iu" and spec.dtype.kind == "f"
    ):
        raise ValueError(f"{what} is {shown}, expected {spec.dtype.name}")
    return np.ascontiguousarray(values.astype(spec.dtype))


def _scores(file: Path, labels: Sequence[str]) -> Array:
    if file.suffix == ".json":
        values = _json_numbers(file)
    else:
        values = _npy(file, "--scores", _MAX_SCORES_BYTES)
    return checked_scores(values, f"--scores: {file}", labels)


def checked_scores(values: Array, what: str, labels: Sequence[str]) -> Array:
    """The caller's scores, float64 [classes].

    Args:
        values: one for each class, with axes of length 1 or without.
        what: names them in errors.
        labels: of the classes.

    Raises:
        ValueError: they are more or fewer, or not finite.
    """
    count = len(labels)
    if values.size != count or max(values.shape, default=0) != count:
        raise ValueError(
            f"{what} has the shape {list(values.shape)}, expected {count} numbers, one for each "
            "class"
        )
    _check_finite(what, values)
    return values.reshape(-1).astype(np.float64)


def _json_numbers(file: Path) -> Array:
    try:
        values: Any = json.loads(read_text(file, _MAX_SCORES_BYTES))
        array = np.array(values)
    except (OSError, TooLarge) as fault:
        raise ValueError(f"--scores: {file} cannot be read ({fault})") from fault
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"--scores: {file} is no JSON array of numbers") from fault
    if array.dtype.kind not in "iuf":
        raise ValueError(f"--scores: {file} is no JSON array of numbers")
    return array


def _npy(file: Path, option: str, max_bytes: int) -> Array:
    try:
        content = read_named(file, max_bytes)
        values: Any = np.load(io.BytesIO(content), allow_pickle=False)
    except OSError as fault:
        raise ValueError(f"{option}: {file} cannot be read ({fault.strerror})") from fault
    # A header of a few bytes may claim any size.
    except (ValueError, EOFError, MemoryError) as fault:
        raise ValueError(f"{option}: {file} is no .npy file of numbers") from fault
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise ValueError(f"{option}: {file} is no .npy file of numbers")
    return values


def _check_finite(what: str, values: Array) -> None:
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"{what} holds NaN or infinity, expected finite numbers")
