"""What is looked at in rows that came as tensors, before they are executed. Pure."""

import numpy as np

from batchproof_server.errors import InvalidInput
from batchproof_server.imaging.decoded import tensor_mean
from batchproof_server.row_inputs import RowInputs
from batchproof_server.signature import Array, Tensors


def tensor_inputs(tensors: Tensors, name: str, *, is_watched: bool) -> RowInputs | None:
    """What is seen of the rows, where a profile wants it: of tensors only their mean is known.

    Args:
        tensors: by the names of the signature, rows on axis 0.
        name: of the one input that a profile is of.
        is_watched: whether there is a profile.

    Raises:
        InvalidInput: a tensor holds NaN or infinity.
    """
    for each, array in tensors.items():
        _check_finite(each, array)
    if not is_watched:
        return None
    rows = tensors[name]
    return RowInputs(
        lumas=(None,) * len(rows),
        aspect_ratios=np.full(len(rows), np.nan),
        tensor_means=np.array([tensor_mean(row) for row in rows]),
    )


def _check_finite(name: str, array: Array) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        return
    # The extremes are finite exactly when all are (NaN spreads through both), and cost no copy.
    if np.isfinite(array.min(initial=0)) and np.isfinite(array.max(initial=0)):
        return
    row = int(np.argwhere(~np.isfinite(array))[0][0])
    raise InvalidInput(f'input "{name}" holds NaN or infinity in row {row}, expected finite values')
