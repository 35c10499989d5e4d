"""numpy as an engine: exact arithmetic, element by element."""

from typing import Final

import numpy as np

from batchproof_server.backends.affine.source import (
    INPUT_NAME,
    OUTPUT_NAME,
    AffineSettings,
    AffineSource,
)
from batchproof_server.backends.engine import Engine
from batchproof_server.base.backend import EngineSettings, batch_rows
from batchproof_server.base.signature import Tensors


class AffineBackend:
    """``scores = scale * (first elements of the row) + offset``, in float32, element by element.

    Keeps the contract of ``Backend`` by construction: no operation reads two elements of the input.

    Args:
        settings: shape and numbers.
        buckets_rows: the row counts that it executes.

    Attributes:
        signature: of the settings.
        engine: the version of numpy.
    """

    engine: Final = f"numpy {np.__version__}"

    def __init__(self, settings: AffineSettings, buckets_rows: tuple[int, ...]) -> None:
        self._settings = settings
        self.signature = settings.signature()
        self._buckets_rows = frozenset(buckets_rows)

    def execute(self, inputs: Tensors) -> Tensors:
        """Returns ``scores``, float32 [rows, classes].

        Raises:
            ValueError: the inputs do not fit the signature or are no bucket.
        """
        rows = batch_rows(self.signature, inputs, self._buckets_rows)
        first = inputs[INPUT_NAME].reshape(rows, -1)[:, : self._settings.classes]
        scores = first.astype(np.float32)
        scores *= np.float32(self._settings.scale)
        scores += np.float32(self._settings.offset)
        if self._settings.clip:
            np.clip(scores, 0, 1, out=scores)
        return {OUTPUT_NAME: scores}

    def close(self) -> None:
        """Holds nothing to release."""


def _compile(
    source: AffineSource, buckets_rows: tuple[int, ...], settings: EngineSettings
) -> AffineBackend:
    del settings  # numpy's ufuncs use one thread
    return AffineBackend(source.settings, buckets_rows)


ENGINE: Final = Engine(
    name="numpy", module="numpy", packages=("numpy",), takes=AffineSource, compile=_compile
)
