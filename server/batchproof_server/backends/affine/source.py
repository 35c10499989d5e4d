"""Numbers in the place of a model: for tests and for measuring the server itself.

``affine.json``::

    {"input_shape": [224, 224, 3], "input_dtype": "float32", "classes": 10,
     "scale": 2.0, "offset": 1.0, "clip": false}
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict

from batchproof_server.backends.source import Source
from batchproof_server.base.backend import EngineSettings
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import TooLarge, read_text, reason_of
from batchproof_server.base.signature import Signature, TensorSpec
from batchproof_server.base.validation import NO_UNKNOWN_KEYS, InvalidSettings, parse_settings

INPUT_NAME = "image"
OUTPUT_NAME = "scores"
_MAX_ARTEFACT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class AffineSettings:
    """The content of ``affine.json``.

    Attributes:
        input_shape: of one row.
        input_dtype: numpy's name of the element type.
        classes: how many scores a row gets; at most the elements of a row.
        scale: finite.
        offset: finite.
        clip: whether scores below 0 are 0, and those above 1 are 1.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    input_shape: tuple[int, ...]
    input_dtype: Literal["float32", "float64", "uint8", "int32", "int64"]
    classes: int
    scale: float
    offset: float
    clip: bool = False

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.input_shape):
            raise ValueError(
                f"input_shape is {list(self.input_shape)}, expected sizes of 1 or more"
            )
        elements = math.prod(self.input_shape)
        if not 1 <= self.classes <= elements:
            raise ValueError(
                f"classes is {self.classes}, expected 1 to the row's {elements} elements"
            )
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(
                f"scale and offset are {self.scale} and {self.offset}, expected finite numbers"
            )

    def signature(self) -> Signature:
        """One input ``image`` and one output ``scores``, float32 [rows, classes]."""
        image = TensorSpec(INPUT_NAME, np.dtype(self.input_dtype), self.input_shape)
        scores = TensorSpec(OUTPUT_NAME, np.dtype(np.float32), (self.classes,))
        return Signature(inputs=(image,), outputs=(scores,))


class AffineSource(Source):
    """Numbers that an engine of exact arithmetic executes.

    Args:
        settings: shape and numbers.
    """

    def __init__(self, settings: AffineSettings) -> None:
        self.settings = settings

    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """That of the settings, whatever the buckets."""
        del buckets_rows
        return self.settings.signature()


def open_affine(artefact: Path, settings: EngineSettings) -> AffineSource:
    """Reads ``affine.json``.

    Raises:
        ModelRefused: the file is missing, is not JSON, or a key is wrong, missing or unknown.
    """
    del settings  # reading takes one thread
    try:
        return AffineSource(parse_settings(AffineSettings, _read(artefact)))
    except InvalidSettings as invalid:
        findings = tuple(f"{artefact.name}: {fault}" for fault in invalid.faults)
        raise ModelRefused(f"{artefact.name} has faults", findings) from invalid


def _read(artefact: Path) -> Any:
    try:
        return json.loads(read_text(artefact, _MAX_ARTEFACT_BYTES))
    except TooLarge as fault:
        raise ModelRefused(
            f"{artefact.name} is too large", (f"{artefact.name}: {fault}",)
        ) from fault
    except OSError as fault:
        raise ModelRefused(
            f"{artefact.name} cannot be read",
            (f"{artefact.name}: {reason_of(fault)}, expected a file",),
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise ModelRefused(
            f"{artefact.name} is not JSON",
            (f"{artefact.name}: cannot be parsed, expected a JSON object in UTF-8",),
        ) from fault
