"""What Keras answers of the artefact as it was saved, in every mode."""

from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np

from batchproof_server.backends.foreign_faults import first_line
from batchproof_server.base.clock import Clock
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import TrainingModes
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.offline.evaluation.evaluating import scores_kind

DROPOUT_DRAWS: Final = 50
BOTH_DRAWS: Final = 50
"""Each is a batch of its own."""
_TRIAL_DRAWS: Final = 4
"""So many that are the same, bit for bit, come of a model that draws nothing."""
_FEWEST_DRAWS: Final = 10
_DRAWING_S: Final = 5.0
_TRACING_DRAWS: Final = 6
_TRACED_FASTER: Final = 8


class Modal(Protocol):
    """What knows modes: a ``LayeredSource`` that nobody repaired."""

    def predict(self, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
        """The library's own ``predict``."""
        ...

    def in_training_mode(
        self, inputs: Tensors, *, statistics: bool, dropout: bool, draws: int = 1
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
        predict = self.source.predict(self._inputs(row, 1), 1)
        both = self._drawn(row)
        eager = [self._trained(row, 1)]
        is_drawn = _is_drawn(both)
        dropout = [self._trained(row, DROPOUT_DRAWS, dropout=True)] if is_drawn else None
        return TrainingModes(
            predict=self._answers([predict]),
            eager=self._answers(eager),
            statistics=self._answers([self._trained(row, 1, statistics=True)]),
            dropout=self._answers(dropout or eager * DROPOUT_DRAWS),
            both=self._answers([both] if is_drawn else [_first(both)] * BOTH_DRAWS),
        )

    def _drawn(self, row: Array) -> dict[str, Array]:
        """Answers in training mode: of a model that draws nothing a few, of a slow one not all."""
        draw = partial(self._trained, row, 1, statistics=True, dropout=True)
        began_s = self.clock.now_s()
        few = draw(draws=_TRIAL_DRAWS)
        if not _is_drawn(few):
            return few
        rest = draw(draws=_further_draws((self.clock.now_s() - began_s) / _TRIAL_DRAWS))
        return {name: np.concatenate([few[name], rest[name]]) for name in few}

    def _trained(
        self,
        row: Array,
        rows: int,
        *,
        statistics: bool = False,
        dropout: bool = False,
        draws: int = 1,
    ) -> dict[str, Array]:
        inputs = self._inputs(row, rows)
        return self.source.in_training_mode(
            inputs, statistics=statistics, dropout=dropout, draws=draws
        )

    def _inputs(self, row: Array, rows: int) -> Tensors:
        return {self.model.backend.signature.inputs[0].name: np.repeat(row[np.newaxis], rows, 0)}

    def _answers(self, outputs: list[dict[str, Array]]) -> ClassAnswers:
        output = np.concatenate([each[self.model.output.name or ""] for each in outputs])
        return ClassAnswers.of(score(output, scores_kind(self.model), self.model.output.limit))


def _further_draws(eager_s: float) -> int:
    """How many are drawn in time behind the first few, of which each took so long.

    As ``LayeredSource`` executes many of them: traced first, then each in a part of the time.
    """
    traced = (_DRAWING_S / max(eager_s, 1e-9) - _TRACING_DRAWS) * _TRACED_FASTER
    return int(np.clip(traced, _FEWEST_DRAWS - _TRIAL_DRAWS, BOTH_DRAWS - _TRIAL_DRAWS))


def _is_drawn(drawn: dict[str, Array]) -> bool:
    """Whether the draws of one row differ in any bit."""
    return any(len({one.tobytes() for one in outputs}) > 1 for outputs in drawn.values())


def _first(drawn: dict[str, Array]) -> dict[str, Array]:
    return {name: outputs[:1] for name, outputs in drawn.items()}
