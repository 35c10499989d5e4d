"""What Keras answers of the artefact as it was saved, in every mode."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import TrainingModes
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.offline.evaluation.evaluating import scores_kind

DROPOUT_DRAWS: Final = 50
_BOTH_DRAWS: Final = 50  # each is a batch of its own


class Modal(Protocol):
    """What knows modes: a ``LayeredSource`` that nobody repaired."""

    def predict(self, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
        """The library's own ``predict``."""
        ...

    def in_training_mode(
        self, inputs: Tensors, *, statistics: bool, dropout: bool
    ) -> dict[str, Array]:
        """The answer in training mode."""
        ...


# Takes note of its failure and asks no more from then on: what hangs once hangs again.
@dataclass(slots=True)
class ModeAsker:
    """Asks one model in every mode.

    Attributes:
        model: as it is served.
        source: as it was saved.
        failure: why there are no answers; empty while all goes well.
    """

    model: LoadedModel
    source: Modal
    failure: str = ""

    def modes(self, row: Array) -> TrainingModes | None:
        """The answers to one row; None once it failed."""
        if self.failure:
            return None
        try:
            return self._modes(row)
        except Exception as fault:  # noqa: BLE001 - Keras raises what it likes
            self.failure = f"Keras: {first_line(str(fault), fault)}"
            return None

    def _modes(self, row: Array) -> TrainingModes:
        return TrainingModes(
            predict=self._answers([self.source.predict(self._inputs(row, 1), 1)]),
            eager=self._trained(row, 1, 1, statistics=False, dropout=False),
            statistics=self._trained(row, 1, 1, statistics=True, dropout=False),
            dropout=self._trained(row, DROPOUT_DRAWS, 1, statistics=False, dropout=True),
            both=self._trained(row, 1, _BOTH_DRAWS, statistics=True, dropout=True),
        )

    def _trained(
        self, row: Array, rows: int, batches: int, *, statistics: bool, dropout: bool
    ) -> ClassAnswers:
        inputs = self._inputs(row, rows)
        return self._answers(
            [
                self.source.in_training_mode(inputs, statistics=statistics, dropout=dropout)
                for _ in range(batches)
            ]
        )

    def _inputs(self, row: Array, rows: int) -> Tensors:
        return {self.model.backend.signature.inputs[0].name: np.repeat(row[np.newaxis], rows, 0)}

    def _answers(self, outputs: list[dict[str, Array]]) -> ClassAnswers:
        output = np.concatenate([each[self.model.output.name or ""] for each in outputs])
        return ClassAnswers.of(score(output, scores_kind(self.model), self.model.output.limit))
