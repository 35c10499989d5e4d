"""What Keras answers in every mode, and what becomes of the diagnosis when it answers nothing."""

from pathlib import Path

import numpy as np
import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends.source import EnoughDraws
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from batchproof_server.offline.diagnosing.modes import DRAWS, ModeAsker
from support.bundles_on_disk import PICTURES, write_bundle
from support.fakes import FakeClock

ROW = np.full((2, 2, 3), 10.0, np.float32)


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    directory = write_bundle(tmp_path / "pets" / "1", PICTURES, shape=(2, 2, 3))
    return load_version(Place("pets", 1, directory), loading_plugs(Config()))


class Keras:
    """Answers the first pixel, and in training mode nothing but a fault if there is one."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.asked = fault, 0

    def predict(self, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
        """As ``LayeredSource``."""
        del batch_rows
        self.asked += 1
        return {"scores": inputs["image"][:, 0, 0]}

    def in_training_mode(
        self, inputs: Tensors, *, statistics: bool, dropout: bool
    ) -> dict[str, Array]:
        """As ``LayeredSource``."""
        del statistics, dropout
        if self.fault is not None:
            raise self.fault
        return self.predict(inputs, 1)

    def draw_in_training_mode(
        self, inputs: Tensors, enough: EnoughDraws, *, statistics: bool
    ) -> list[dict[str, Array]]:
        """As ``LayeredSource``."""
        drawn: list[dict[str, Array]] = []
        while not enough(drawn):
            drawn.append(self.draw(inputs, len(drawn), statistics=statistics))
        return drawn

    def draw(self, inputs: Tensors, count: int, *, statistics: bool) -> dict[str, Array]:
        """One more draw, of a model that draws nothing."""
        del count
        return self.in_training_mode(inputs, statistics=statistics, dropout=True)


def test_every_mode_is_asked_for_the_same_row(model: LoadedModel) -> None:
    asker = ModeAsker(model, Keras(), FakeClock())
    modes = asker.modes(ROW)
    assert modes is not None
    assert len(modes.predict.decided) == 1
    assert len(modes.dropout.decided) == DRAWS
    assert asker.failure == ""


class Drawing(Keras):
    """Draws by chance, and takes a while for each draw."""

    def __init__(self, clock: FakeClock, takes_s: float) -> None:
        super().__init__()
        self._clock, self._takes_s = clock, takes_s

    def draw(self, inputs: Tensors, count: int, *, statistics: bool) -> dict[str, Array]:
        """One more draw."""
        self._clock.advance(self._takes_s)
        return {"scores": super().draw(inputs, count, statistics=statistics)["scores"] + count}


def test_a_model_that_draws_nothing_is_not_asked_again_and_again(model: LoadedModel) -> None:
    keras = Keras()
    modes = ModeAsker(model, keras, FakeClock()).modes(ROW)
    assert modes is not None
    assert len(modes.both.decided) == DRAWS
    assert keras.asked < 10


@pytest.mark.parametrize(("takes_s", "draws"), [(0.01, DRAWS), (0.26, 20), (9.0, 10)])
def test_a_slow_model_is_drawn_less_often(model: LoadedModel, takes_s: float, draws: int) -> None:
    clock = FakeClock()
    modes = ModeAsker(model, Drawing(clock, takes_s), clock).modes(ROW)
    assert modes is not None
    assert len(modes.both.decided) == len(modes.dropout.decided) == draws


@pytest.mark.parametrize("fault", [BackendFailed("no answer"), RuntimeError("no answer\nat all")])
def test_a_model_that_fails_in_training_mode_is_asked_no_more_and_the_reason_is_kept(
    model: LoadedModel, fault: Exception
) -> None:
    keras = Keras(fault)
    asker = ModeAsker(model, keras, FakeClock())
    assert asker.modes(ROW) is None
    assert asker.modes(ROW) is None
    assert asker.failure == "Keras: no answer"
    assert keras.asked == 1
