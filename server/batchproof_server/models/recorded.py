"""Requests that lie in a bundle are executed before its version answers."""

from collections.abc import Iterable

import numpy as np

from batchproof_server.base.backend import Backend
from batchproof_server.base.errors import BackendFailed, ModelRefused
from batchproof_server.base.signature import Tensors
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import LoadingPlugs, load_version


def load_warm(place: Place, plugs: LoadingPlugs) -> LoadedModel:
    """Loads a version as ``load_version`` does, and executes what its bundle has recorded.

    Raises:
        ModelRefused: as that, or a recorded request cannot be read or executed.
    """
    model = load_version(place, plugs)
    try:
        recorded = plugs.recorded(place.directory, model.backend.signature)
        execute_recorded(model.backend, model.batching.buckets_rows, recorded)
    except BaseException:
        model.backend.close()
        raise
    return model


def execute_recorded(
    backend: Backend, buckets_rows: tuple[int, ...], recorded: Iterable[Tensors]
) -> None:
    """Executes requests that were recorded, padded and cut as those that come.

    Raises:
        ModelRefused: the model fails for one; or as reading the records says.
    """
    largest = max(buckets_rows)
    for number, inputs in enumerate(recorded, 1):
        rows = len(next(iter(inputs.values())))
        for begin in range(0, rows, largest):
            part = {name: array[begin : begin + largest] for name, array in inputs.items()}
            try:
                backend.execute(_padded(part, buckets_rows))
            except BackendFailed as fault:
                finding = f"recorded request {number}: the model fails for it"
                raise ModelRefused("a recorded request cannot be executed", (finding,)) from fault


def _padded(part: Tensors, buckets_rows: tuple[int, ...]) -> Tensors:
    """The smallest bucket that holds the rows, filled up with the first of them."""
    rows = len(next(iter(part.values())))
    bucket = min(each for each in buckets_rows if each >= rows)
    return {
        name: np.concatenate((array, np.repeat(array[:1], bucket - rows, axis=0)))
        for name, array in part.items()
    }
