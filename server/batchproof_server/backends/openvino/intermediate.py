"""A model in OpenVINO's own form, converted here or kept since an earlier start.

Importing this module imports OpenVINO.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from pydantic import ConfigDict

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.backends.openvino.runtime import openvino, openvino_core
from batchproof_server.backends.source import IntermediateSource
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import TooLarge, read_text
from batchproof_server.base.signature import Signature, TensorSpec
from batchproof_server.base.validation import (
    NO_UNKNOWN_KEYS,
    InvalidSettings,
    parse_settings,
    parser_says,
)

_MODEL: Final = "model.xml"
_SIGNATURE: Final = "signature.json"
_MAX_SIGNATURE_BYTES: Final = 1 << 20
_ANY: Final = -1


@dataclass(frozen=True, slots=True)
class _KeptTensor:
    """One input or output; ``shape`` is that of a row."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _KeptSignature:
    """The inputs and outputs in the order of the model's."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    inputs: tuple[_KeptTensor, ...]
    outputs: tuple[_KeptTensor, ...]


class OpenVinoSource(IntermediateSource):
    """A model of OpenVINO whose inputs and outputs stand in the order of its signature.

    Args:
        model: with an open row count.
        signature: as requests name it.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._signature = signature

    @property
    def model(self) -> Any:
        """The ``openvino.Model``; who changes it takes a clone."""
        return self._model

    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """The same whatever the buckets."""
        del buckets_rows
        return self._signature

    def write(self, directory: Path) -> None:
        """Writes the model, its weights and its signature into an empty directory.

        Raises:
            OSError: they cannot be written.
        """
        try:
            openvino.save_model(self._model, directory / _MODEL, compress_to_fp16=False)
        except RuntimeError as fault:
            raise OSError(first_line(parser_says(fault), fault)) from fault
        kept = {"inputs": _kept(self._signature.inputs), "outputs": _kept(self._signature.outputs)}
        (directory / _SIGNATURE).write_text(json.dumps(kept), encoding="utf-8")


def _kept(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": spec.name,
            "dtype": spec.dtype.name,
            "shape": [size or _ANY for size in spec.row_shape],
        }
        for spec in specs
    ]


def reopen(directory: Path) -> OpenVinoSource:
    """Reads what ``OpenVinoSource.write`` wrote; who calls it trusts the directory's content.

    Raises:
        ModelRefused: something is missing or damaged.
    """
    try:
        values = json.loads(read_text(directory / _SIGNATURE, _MAX_SIGNATURE_BYTES))
        kept = parse_settings(_KeptSignature, values)
        signature = Signature(_specs(kept.inputs), _specs(kept.outputs))
        model = openvino_core().read_model(directory / _MODEL)
    except (OSError, ValueError, TypeError, InvalidSettings, TooLarge, RuntimeError) as fault:
        raise ModelRefused(
            "the converted model cannot be read",
            (f"OpenVINO: {first_line(parser_says(fault), fault)}",),
        ) from fault
    return OpenVinoSource(model, signature)


def _specs(kept: tuple[_KeptTensor, ...]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            each.name,
            np.dtype(each.dtype),
            tuple(None if size == _ANY else size for size in each.shape),
        )
        for each in kept
    )
