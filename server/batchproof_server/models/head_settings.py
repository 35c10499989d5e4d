"""The ``[outputs.NAME]`` tables of a manifest of format 2."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.errors import cut
from batchproof_server.base.output import RAW_OUTPUT, OutputKind, OutputSettings
from batchproof_server.base.validation import NO_UNKNOWN_KEYS, read_by


def _labels_file(value: object) -> str:
    if isinstance(value, str) and value and not set(value) & set("/\\"):
        return value
    came = f'"{value}"' if isinstance(value, str) else cut(repr(value))
    raise ValueError(
        f"{came}, expected the name of a file in the bundle with one label a line, such "
        'as "labels.txt"'
    )


LabelsFile: TypeAlias = Annotated[str, read_by(_labels_file)]
"""The name of a file in the bundle."""


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """One output of the model.

    Attributes:
        kind: as of ``OutputSettings``.
        labels: the file with one label a line, relative to the bundle. Of the watched output
            ``labels.txt`` is taken when it exists.
        threshold: as of ``OutputSettings``.
        thresholds: as of ``OutputSettings``.
        watched: whether drift, outcomes, augmentation and evaluation are about this output. Of a
            single output with scores it is clear; of several exactly one says so.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    kind: OutputKind
    labels: LabelsFile | None = None
    threshold: float | None = None
    thresholds: tuple[float, ...] | None = None
    watched: bool | None = None

    def __post_init__(self) -> None:
        self.settings("")
        if self.kind == "raw" and (self.labels is not None or self.watched):
            raise ValueError('kind is "raw", which has no labels and cannot be watched')

    def settings(self, name: str) -> OutputSettings:
        """The same as the rest of the server says it."""
        if self.kind == "raw":
            return RAW_OUTPUT
        return OutputSettings(self.kind, name, self.threshold, self.thresholds)


def watched_of(outputs: Mapping[str, HeadSettings]) -> str | None:
    """The name of the output that is watched; None where none has scores.

    Raises:
        ValueError: several have scores, and not exactly one of them is said to be watched.
    """
    scored = [name for name, head in outputs.items() if head.kind != "raw"]
    said = [name for name in scored if outputs[name].watched]
    if len(said) == 1:
        return said[0]
    if len(scored) == 1 and outputs[scored[0]].watched is None:
        return scored[0]
    if not scored:
        return None
    came = "none" if not said else " and ".join(said)
    raise ValueError(
        f"outputs: {', '.join(scored)} have scores, and watched = true stands at {came}; expected "
        "it at exactly one: drift, outcomes and augmentation are about that"
    )
