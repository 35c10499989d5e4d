"""What Keras answers of the artefact as it was saved, in every mode."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.backends.source import EnoughDraws
from batchproof_server.base.clock import Clock
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import TrainingModes
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.offline.evaluation.evaluating import scores_kind

DRAWS: Final = 50
"""Each is a batch of its own."""
_TRIAL_DRAWS: Final = 4
"""So many that are the same, bit for bit, come of a model that draws nothing."""
_FEWEST_DRAWS: Final = 10
_DRAWING_S: Final = 5.0
"""A model that takes longer is drawn less often."""


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

    def draw_in_training_mode(
        self, inputs: Tensors, enough: EnoughDraws, *, statistics: bool
    ) -> list[dict[str, Array]]:
        """Answers in training mode, until it is enough."""
        ...


# Takes note of its failure and asks no more from then on: what hangs once hangs again.
@dataclass(slots=True)
class ModeAsker:
    """Asks one model in every mode.

    Attributes:
        model: as it is served.
        source: as it was saved.
        clock: a model that takes long is drawn less often.
        failure: why there are no answers; empty while all goes well.
    """

    model: LoadedModel
    source: Modal
    clock: Clock
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
        inputs = {self.model.backend.signature.inputs[0].name: row[np.newaxis]}
        source = self.source
        predict = source.predict(inputs, 1)
        eager = source.in_training_mode(inputs, statistics=False, dropout=False)
        statistics = source.in_training_mode(inputs, statistics=True, dropout=False)
        both = source.draw_in_training_mode(inputs, self._enough(), statistics=True)
        if _is_drawn(both):
            dropout = source.draw_in_training_mode(inputs, self._enough(), statistics=False)
        else:
            dropout, both = [eager] * DRAWS, both[:1] * DRAWS
        return TrainingModes(
            predict=self._answers([predict]),
            eager=self._answers([eager]),
            statistics=self._answers([statistics]),
            dropout=self._answers(dropout),
            both=self._answers(both),
        )

    def _enough(self) -> EnoughDraws:
        """Whether so many draws are: of a model that draws nothing a few, of a slow one not all."""
        began_s = self.clock.now_s()

        def enough(drawn: Sequence[dict[str, Array]]) -> bool:
            count = len(drawn)
            if count == _TRIAL_DRAWS and not _is_drawn(drawn):
                return True
            is_late = self.clock.now_s() - began_s > _DRAWING_S
            return count >= (_FEWEST_DRAWS if is_late else DRAWS)

        return enough

    def _answers(self, outputs: Sequence[dict[str, Array]]) -> ClassAnswers:
        output = np.concatenate([each[self.model.output.name or ""] for each in outputs])
        return ClassAnswers.of(score(output, scores_kind(self.model), self.model.output.limit))


def _is_drawn(drawn: Sequence[dict[str, Array]]) -> bool:
    """Whether the draws of one row differ in any bit."""
    return any(len({one[name].tobytes() for one in drawn}) > 1 for name in drawn[0])
