"""What is looked at in rows that came as tensors, before they are executed. Pure."""

import numpy as np

from batchproof_server.errors import InvalidInput
from batchproof_server.imaging.decoded import tensor_mean
from batchproof_server.row_inputs import RowInputs
from batchproof_server.signature import Array, Tensors


def check_finite(tensors: Tensors) -> None:
    """Returns when all values are finite.

    Raises:
        InvalidInput: a tensor holds NaN or infinity.
    """
    for name, array in tensors.items():
        _check_finite(name, array)


def tensor_inputs(rows: Array) -> RowInputs:
    """What is seen of rows that came as tensors, for a profile: only their mean is known.

    Args:
        rows: of the one input that a profile is of, on axis 0.
    """
    return RowInputs(
        lumas=(None,) * len(rows),
        aspect_ratios=np.full(len(rows), np.nan),
        tensor_means=np.array([tensor_mean(row) for row in rows]),
    )


def nothing_seen() -> None:
    """Of a model without a profile: nobody would compare it."""


def _check_finite(name: str, array: Array) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        return
    # NaN and infinity spread through a sum; a finite one proves that there are none.
    if np.isfinite(np.einsum("i->", array.reshape(-1))) or np.isfinite(array).all():
        return
    row = int(np.argwhere(~np.isfinite(array))[0][0])
    raise InvalidInput(f'input "{name}" holds NaN or infinity in row {row}, expected finite values')
