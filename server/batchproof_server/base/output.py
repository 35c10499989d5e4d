"""What the output of a model is."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

OutputKind = Literal["logits", "probabilities", "raw"]


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What the model's output is.

    Attributes:
        kind: ``logits`` and ``probabilities`` are [rows, classes]; ``raw`` is anything else and is
            returned as it is.
        name: which output holds the scores; may be left out when there is one output, and must be
            when the kind is ``raw``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    kind: OutputKind
    name: str | None = None

    def __post_init__(self) -> None:
        if self.kind == "raw" and self.name is not None:
            raise ValueError(f'name is "{self.name}", expected none: raw outputs hold no scores')


RAW_OUTPUT = OutputSettings("raw")
