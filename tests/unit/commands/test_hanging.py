"""A model that hangs ends every command that executes it, in words and without a traceback."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.application.config import Config
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Tensors
from batchproof_server.commands.opening import (
    LimitedEmbedder,
    LimitedKeras,
    call_within,
    open_within,
)
from batchproof_server.devices.settings import ExecutionSettings
from batchproof_server.models.stall import LoadingHangs
from support.bundles_on_disk import PICTURES, write_bundle
from support.fakes import PATIENCE_S

Captured = pytest.CaptureFixture[str]
Hang = Callable[[str], None]
LIMITS = "[execution]\nmax_execution_s = 0.2\nmax_load_step_s = 0.2\n"
NO_LIMITS = "[execution]\nmax_execution_s = 0.2\n"


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    """Makes the model hang on threads whose names begin so, until the test is over."""
    over, names = threading.Event(), list[str]()
    execute = AffineBackend.execute

    def hanging(backend: AffineBackend, inputs: Tensors) -> Tensors:
        if threading.current_thread().name.startswith(tuple(names)):
            assert over.wait(PATIENCE_S)
        return execute(backend, inputs)

    monkeypatch.setattr(AffineBackend, "execute", hanging)
    monkeypatch.setattr(AffineBackend, "has_loops", True, raising=False)
    yield names.append
    over.set()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A bundle with a profile, pictures that it was made of, and one of them."""
    bundle = write_bundle(tmp_path / "colours" / "3", PICTURES, shape=(2, 2, 3), scale=0.01)
    (bundle / "labels.txt").write_text("red\ngreen\nblue\n")
    images = np.random.default_rng(0).integers(0, 255, (120, 2, 2, 3)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(120) % 3)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "pictures" / "one.png")
    (tmp_path / "settings.toml").write_text(NO_LIMITS)
    (tmp_path / "impatient.toml").write_text(LIMITS)
    data, profile = tmp_path / "data.npz", tmp_path / "profile.json"
    assert main(["profile", str(bundle), "--data", str(data), "--out", str(profile)]) == 0
    return {
        "BUNDLE": bundle,
        "DATA": data,
        "PROFILE": profile,
        "OUT": tmp_path / "out.json",
        "PICTURES": tmp_path / "pictures",
        "SETTINGS": tmp_path / "settings.toml",
        "IMPATIENT": tmp_path / "impatient.toml",
    }


COMMANDS = {
    "evaluate": "evaluate BUNDLE --data DATA",
    "profile": "profile BUNDLE --data DATA --out OUT",
    "tta evaluate": "tta evaluate BUNDLE --data DATA --policies flip",
    "tta fit": "tta fit BUNDLE --data DATA --policy flip",
    "drift": "drift BUNDLE --data PICTURES --profile PROFILE",
    "diagnose": "diagnose BUNDLE PICTURES",
    "recipe find": "recipe find BUNDLE --data DATA",
}
LOADING = {
    **COMMANDS,
    "certify": "certify BUNDLE",
    "profile show": "profile show PROFILE --bundle BUNDLE",
}


def run(words: str, places: dict[str, Path], settings: str) -> int:
    given = [str(places.get(word, word)) for word in words.split()]
    return main([*given, "--config", str(places[settings])])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_whose_model_hangs_for_a_picture_says_so_and_ends(
    command: str, hang: Hang, places: dict[str, Path], capsys: Captured
) -> None:
    hang("device-")
    assert run(COMMANDS[command], places, "SETTINGS") == 1
    said = capsys.readouterr().err
    assert "it took longer than [execution] max_execution_s allows and was given up" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", LOADING)
def test_a_command_whose_model_hangs_while_it_is_loaded_names_it_and_ends(
    command: str, hang: Hang, places: dict[str, Path], capsys: Captured
) -> None:
    hang("load")
    assert run(LOADING[command], places, "IMPATIENT") == 1
    said = capsys.readouterr()
    named = "colours version 3: FAILED" if command == "certify" else f"{places['BUNDLE']}: REFUSED"
    assert named in said.out + said.err
    assert "no progress within 0.2 s" in said.out + said.err
    assert "max_load_step_s" in said.out + said.err
    assert "Traceback" not in said.err


class HangingKeras:
    """Answers nothing until it is released, then nothing of use."""

    layer = "features"

    def __init__(self) -> None:
        self.over, self.calls = threading.Event(), 0

    def _hang(self) -> Any:
        self.calls += 1
        assert self.over.wait(PATIENCE_S)
        return {}

    def predict(self, inputs: Tensors, batch_rows: int) -> Any:
        """As ``LayeredSource``."""
        del inputs, batch_rows
        return self._hang()

    def in_training_mode(self, inputs: Tensors, *, statistics: bool, dropout: bool) -> Any:
        """As ``LayeredSource``."""
        del inputs, statistics, dropout
        return self._hang()

    def draw_in_training_mode(self, inputs: Tensors, enough: Any, *, statistics: bool) -> Any:
        """As ``LayeredSource``."""
        del inputs, enough, statistics
        return self._hang()

    def __call__(self, rows: Array) -> Any:
        """As ``Penultimate``."""
        del rows
        return self._hang()


@pytest.fixture
def keras() -> Iterator[HangingKeras]:
    hanging = HangingKeras()
    yield hanging
    hanging.over.set()


IMPATIENT = Config(execution=ExecutionSettings(max_load_step_s=0.01))


def _calls(keras: Any) -> dict[str, Callable[[], object]]:
    source, embedder = LimitedKeras(keras, IMPATIENT), LimitedEmbedder(keras, IMPATIENT)
    assert embedder.layer == "features"
    return {
        "predict": lambda: source.predict({}, 32),
        "in training mode": lambda: source.in_training_mode({}, statistics=True, dropout=False),
        "draws": lambda: source.draw_in_training_mode({}, lambda _: True, statistics=True),
        "embeddings": lambda: embedder(np.zeros((1, 2), np.float32)),
    }


@pytest.mark.parametrize("call", ["predict", "in training mode", "draws", "embeddings"])
def test_what_keras_itself_never_answers_fails_within_the_limit(
    call: str, keras: HangingKeras
) -> None:
    with pytest.raises(BackendFailed, match=r"Keras gave no answer within 0\.01 s") as raised:
        _calls(keras)[call]()
    assert "a higher [execution] max_load_step_s" in str(raised.value)


def test_what_is_never_opened_is_named(keras: HangingKeras) -> None:
    with pytest.raises(LoadingHangs) as raised:
        open_within(IMPATIENT, "model.keras", keras._hang)
    (finding,) = raised.value.findings
    assert finding.startswith("model.keras: loading: no progress within 0.01 s")


def test_what_keras_answers_and_raises_in_time_comes_through() -> None:
    patient = Config()
    assert call_within(patient, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_within(patient, lambda: 1 // 0)
