"""How a model was trained: its figures epoch by epoch, as a bundle brings them along. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from batchproof_server.base.validation import NO_UNKNOWN_KEYS, InvalidSettings, parse_document

TRAINING_NAME: Final = "training-curve.json"
MAX_TRAINING_BYTES: Final = 16 * 2**20

_MOST_NAMES: Final = 1_000


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """The figures of a training.

    Attributes:
        format: of the file.
        monitor: the figure by which the kept epoch was chosen.
        best: whether the lowest or the highest of it is the best.
        kept: the epoch whose weights are in the bundle, counted from 1.
        epochs: of each epoch the figures by their names; None for one that was not finite.

    Raises:
        InvalidSettings: there is no epoch ``kept``, or it has no such figure.
    """

    __pydantic_config__ = NO_UNKNOWN_KEYS

    format: Literal[1]
    monitor: str
    best: Literal["lowest", "highest"]
    kept: int
    epochs: tuple[Mapping[str, float | None], ...]

    def __post_init__(self) -> None:
        if not 1 <= self.kept <= len(self.epochs):
            raise InvalidSettings((f"kept: {self.kept}, expected 1 to {len(self.epochs)}",))
        if any(len(each) > _MOST_NAMES for each in self.epochs):
            raise InvalidSettings((f"epochs: expected {_MOST_NAMES} figures or fewer in each",))
        if self.at(self.kept) is None:
            raise InvalidSettings((f'epochs: epoch {self.kept} has no finite "{self.monitor}"',))

    def at(self, epoch: int) -> float | None:
        """The figure that was monitored, of an epoch counted from 1."""
        return self.epochs[epoch - 1].get(self.monitor)

    @property
    def summary(self) -> str:
        """Which epoch was kept and how the figure went on from there, as one sentence."""
        last = len(self.epochs)
        kept = f"Epoch {self.kept} of {last} was kept, with the {self.best} {self.monitor}"
        kept = f"{kept} ({self.at(self.kept):.4g})"
        if self.kept == last:
            return f"{kept}; it was the last."
        ended = self.at(last)
        return f"{kept}; at the last it was {'not finite' if ended is None else f'{ended:.4g}'}."


def parse_training_curve(text: str) -> TrainingCurve:
    """Reads the text of a ``training-curve.json``.

    Raises:
        InvalidSettings: it is no JSON, or has faults; one line for each, beginning with its path.
    """
    return parse_document(TrainingCurve, text)


def training_curve_json(curve: TrainingCurve) -> str:
    """The text of its file: one line for each entry at the top."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in asdict(curve).items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
