"""``batchproof.toml``: what a bundle's author declares about the model beside it."""

import tomllib
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict

from batchproof_server.backends.plug_list import AUTO, check_engine_name
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.output import RAW_OUTPUT, OutputSettings
from batchproof_server.base.signature import TensorSpec
from batchproof_server.base.validation import (
    NO_UNKNOWN_KEYS,
    InvalidSettings,
    parse_settings,
    parser_says,
)
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.imaging.recipe import RecipeSettings
from batchproof_server.models.head_settings import (
    HeadSettings,
    LabelsFile,
    watched_of,
)
from batchproof_server.tta.policies import NO_TTA_SETTINGS, TtaSettings

MANIFEST_NAME = "batchproof.toml"


DtypeName = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeclaredTensor:
    """An input or output as the manifest declares it.

    Attributes:
        shape: the shape of one row; -1 where any size is allowed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    name: str
    dtype: DtypeName
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(size < -1 or size == 0 for size in self.shape):
            raise ValueError(f"shape {list(self.shape)} holds a size below 1 other than -1 (any)")

    def spec(self) -> TensorSpec:
        """The same as the rest of the server says it."""
        sizes = tuple(None if size == -1 else size for size in self.shape)
        return TensorSpec(self.name, np.dtype(self.dtype), sizes)


@dataclass(frozen=True, slots=True)
class DeclaredSignature:
    """The signature that the artefact must have; without one, the artefact's own is taken."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle's declaration.

    Attributes:
        format: the format of this file: 1 or 2.
        output: what the output with the scores is. In format 2 it follows from ``outputs``.
        outputs: in format 2 the outputs by name; those that are not named are raw.
        recipe: the way from an encoded image to the input tensor; without one the model takes
            tensors only.
        signature: checked against the artefact's.
        batching: overrides the server's.
        labels: the file with one label a line, relative to the bundle; ``labels.txt`` is taken when
            it exists. In format 2 it stands at each output.
        max_request_rows: lowers the server's limit for this model.
        tta: policies of test-time augmentation.
        engine: the engine that executes the model, unless the server names one; ``auto`` takes the
            first that proves it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    format: Literal[1, 2]
    output: OutputSettings = RAW_OUTPUT
    description: str = ""
    recipe: RecipeSettings | None = None
    signature: DeclaredSignature | None = None
    batching: BatchingSettings | None = None
    labels: LabelsFile | None = None
    max_request_rows: int | None = None
    tta: TtaSettings = NO_TTA_SETTINGS
    engine: str = AUTO
    outputs: dict[str, HeadSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_request_rows is not None and self.max_request_rows < 1:
            raise ValueError(f"max_request_rows is {self.max_request_rows}, expected 1 or more")
        check_engine_name(self.engine)
        self._check_outputs()

    def _check_outputs(self) -> None:
        """Format 1 has ``output`` and ``labels``, format 2 has ``outputs``."""
        if self.format == 1:
            if self.outputs:
                raise ValueError("outputs belongs to format = 2; in format 1 write [output]")
            return
        if self.output is not RAW_OUTPUT or self.labels is not None:
            raise ValueError(
                "output and labels belong to format = 1; in format 2 write [outputs.NAME] with "
                "kind and labels"
            )
        watched = watched_of(self.outputs)
        if watched is not None:
            head = self.outputs[watched]
            object.__setattr__(self, "output", head.settings(watched))
            object.__setattr__(self, "labels", head.labels)

    @property
    def other_heads(self) -> dict[str, HeadSettings]:
        """The outputs with scores beside the one that is watched."""
        return {
            name: head
            for name, head in self.outputs.items()
            if head.kind != "raw" and name != self.output.name
        }


NO_MANIFEST = Manifest(format=1)


def parse_manifest(text: str) -> Manifest:
    """Reads the text of a ``batchproof.toml``.

    Raises:
        ModelRefused: it is no TOML, or has faults; the findings name every one.
    """
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return parse_settings(Manifest, values)
    except InvalidSettings as invalid:
        findings = tuple(f"{MANIFEST_NAME}: {fault}" for fault in invalid.faults)
        raise ModelRefused(f"{MANIFEST_NAME} has {len(findings)} fault(s)", findings) from invalid
    except (ValueError, RecursionError) as fault:  # no TOML, too large a number, too deep
        raise ModelRefused(
            f"{MANIFEST_NAME} is not TOML", (f"{MANIFEST_NAME}: {parser_says(fault)}",)
        ) from fault
