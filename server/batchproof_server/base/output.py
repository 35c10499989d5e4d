"""What the output of a model is."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

ScoresKind = Literal["logits", "probabilities", "binary_logit", "binary_probability"]
"""What class scores may be; see ``OutputSettings``."""
OutputKind = Literal[ScoresKind, "raw"]

BINARY: Final = frozenset({"binary_logit", "binary_probability"})
"""The kinds with one value a row, which is of the second of two classes."""
LOGITS: Final = frozenset({"logits", "binary_logit"})
"""The kinds that have logits."""


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What the model's output is.

    Attributes:
        kind: ``logits`` and ``probabilities`` are [rows, classes]. ``binary_logit`` and
            ``binary_probability`` are [rows, 1] or [rows]: the logit or the probability of the
            second of two classes, as ``Dense(1)`` gives them without and with a sigmoid. ``raw`` is
            anything else and is returned as it is.
        name: which output holds the scores; may be left out when there is one output, and must be
            when the kind is ``raw``.
        threshold: of a binary model: the answer is the second class when its probability is above
            this; None is the more probable class, the first of a tie.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    kind: OutputKind
    name: str | None = None
    threshold: float | None = None

    @property
    def is_binary(self) -> bool:
        """Whether there is one value for two classes."""
        return self.kind in BINARY

    @property
    def has_logits(self) -> bool:
        """Whether answers have logits."""
        return self.kind in LOGITS

    def scores(self) -> tuple[str, ScoresKind]:
        """Which output holds class scores, and what they are.

        Raises:
            ValueError: none does, or it has not been named.
        """
        if self.kind == "raw" or self.name is None:
            raise ValueError(f"the output is {self.kind} and holds no scores")
        return self.name, self.kind

    def __post_init__(self) -> None:
        if self.kind == "raw" and self.name is not None:
            raise ValueError(f'name is "{self.name}", expected none: raw outputs hold no scores')
        if self.threshold is not None:
            self._check_threshold(self.threshold)

    def _check_threshold(self, threshold: float) -> None:
        if not self.is_binary:
            raise ValueError(f'threshold is {threshold}, expected none: kind is "{self.kind}"')
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}, expected above 0 and below 1")


RAW_OUTPUT = OutputSettings("raw")
