"""Opens models for commands, and calls them, within the limit that the server has for loading."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from batchproof_server.application.config import Config
from batchproof_server.backends.source import EnoughDraws, LayeredSource, Penultimate
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.models.limited_loading import load_within
from batchproof_server.models.stall import LoadingHangs
from batchproof_server.proof.settings import silent

Opened = TypeVar("Opened")
Answer = TypeVar("Answer")


def open_within(config: Config, what: str, work: Callable[[], Opened]) -> Opened:
    """What ``work`` gives, which opens a model: that may execute its initialisers.

    Args:
        config: has the limit, ``[execution] max_load_step_s``.
        what: is opened, as its finding begins.
        work: runs on a thread of its own.

    Raises:
        LoadingHangs: it took too long. The thread goes on: see ``commands.ending``.
    """
    try:
        return _within(config, work)
    except LoadingHangs as hangs:
        findings = tuple(f"{what}: {each}" for each in hangs.findings)
        raise LoadingHangs(str(hangs), findings) from hangs


def call_within(config: Config, call: Callable[[], Answer]) -> Answer:
    """What ``call`` answers, which executes a model past the device that serves it.

    Nothing was measured that could tell how long that takes, so the limit is that of loading.

    Args:
        config: has the limit, ``[execution] max_load_step_s``.
        call: runs on a thread of its own.

    Raises:
        BackendFailed: it took too long. The thread goes on: see ``commands.ending``.
    """
    try:
        return _within(config, call)
    except LoadingHangs as hangs:
        limit_s = config.execution.max_load_step_s
        raise BackendFailed(
            f"Keras gave no answer within {limit_s:.3g} s; a model that hangs for some input "
            "never does, a large one needs a higher [execution] max_load_step_s"
        ) from hangs


def _within(config: Config, work: Callable[[], Opened]) -> Opened:
    max_step_s = config.execution.max_load_step_s
    return load_within(lambda _: work(), max_step_s, silent, MonotonicClock())


@dataclass(frozen=True, slots=True)
class LimitedKeras:
    """Keras' own answers, each within the limit of ``call_within``.

    Attributes:
        source: as it was saved.
        config: has the limit.
    """

    source: LayeredSource
    config: Config

    def predict(self, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
        """As ``LayeredSource.predict``."""
        return call_within(self.config, partial(self.source.predict, inputs, batch_rows))

    def in_training_mode(
        self, inputs: Tensors, *, statistics: bool, dropout: bool
    ) -> dict[str, Array]:
        """As ``LayeredSource.in_training_mode``."""
        answer = partial(
            self.source.in_training_mode, inputs, statistics=statistics, dropout=dropout
        )
        return call_within(self.config, answer)

    def draw_in_training_mode(
        self, inputs: Tensors, enough: EnoughDraws, *, statistics: bool
    ) -> list[dict[str, Array]]:
        """As ``LayeredSource.draw_in_training_mode``, all draws within the limit."""
        draw = partial(self.source.draw_in_training_mode, inputs, enough, statistics=statistics)
        return call_within(self.config, draw)


@dataclass(frozen=True, slots=True)
class LimitedEmbedder:
    """Embeddings, each within the limit of ``call_within``.

    Attributes:
        embedder: makes them.
        config: has the limit.
    """

    embedder: Penultimate
    config: Config

    @property
    def layer(self) -> str:
        """Its name."""
        return self.embedder.layer

    def __call__(self, rows: Array) -> Array:
        """As ``Penultimate``."""
        return call_within(self.config, partial(self.embedder, rows))
