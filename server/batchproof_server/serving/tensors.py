"""The tensors of one request, before the model: every element is read."""

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.input_statistics import RowInputs
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.imaging.decoded import tensor_mean
from batchproof_server.models.served import ServedModel


def check_finite(tensors: Tensors) -> None:
    """Returns when every number is finite.

    Raises:
        InvalidInput: one is not; the text names its row.
    """
    for name, array in tensors.items():
        _check_one(name, array)


def tensor_inputs(model: ServedModel, tensors: Tensors) -> RowInputs | None:
    """What is seen of the rows, of which only the mean is known; None where nobody wants it."""
    if model.loaded.profile is None and not model.watches_inputs:
        return None
    array = tensors[model.loaded.backend.signature.inputs[0].name]  # a profile is of the one input
    return RowInputs(
        lumas=(None,) * len(array),
        aspect_ratios=np.full(len(array), np.nan),
        tensor_means=np.array([tensor_mean(row) for row in array]),
    )


def checked_inputs(model: ServedModel, tensors: Tensors) -> RowInputs | None:
    """``tensor_inputs`` of tensors that are finite.

    Raises:
        InvalidInput: see ``check_finite``.
    """
    check_finite(tensors)
    return tensor_inputs(model, tensors)


def _check_one(name: str, array: Array) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        return
    # NaN and infinity spread through a sum; a finite one proves that there are none.
    if np.isfinite(np.einsum("i->", array.reshape(-1))) or np.isfinite(array).all():
        return
    row = int(np.argwhere(~np.isfinite(array))[0][0])
    raise InvalidInput(f'input "{name}" holds NaN or infinity in row {row}, expected finite values')
