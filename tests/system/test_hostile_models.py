"""No command loads or executes a model that would act, whatever it is allowed."""

import shutil
from pathlib import Path

import pytest

from support import hostile_models as hostile
from system.bundles import EMBEDDED
from system.process import run

SAMPLES = EMBEDDED / "fashion-mnist" / "1" / "samples"
COMMANDS = {
    "serve": ("serve", "BUNDLE", "--allow-unproven", "--grpc-port", "0", "--http-port", "0"),
    "certify": ("certify", "BUNDLE"),
    "evaluate": ("evaluate", "BUNDLE", "--data", "DATA", "--allow-unproven"),
    "profile": ("profile", "BUNDLE", "--data", "DATA"),
    "tta evaluate": ("tta", "evaluate", "BUNDLE", "--data", "DATA"),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose table writes a file beside the model when it is initialised."""
    path = tmp_path_factory.mktemp("hostile")
    hostile.with_table("initialize")(path / "acting" / "1", path / "witness")
    (path / "witness").unlink(missing_ok=True)
    (path / "acting" / "1" / "batchproof.toml").write_text(
        'format = 1\n[output]\nkind = "logits"\n'
    )
    shutil.copytree(SAMPLES, path / "data" / "0")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_that_acts_when_it_is_loaded_is_never_loaded(saved: Path, command: str) -> None:
    places = {"BUNDLE": saved / "acting" / "1", "DATA": saved / "data"}
    ended = run(*(places.get(word, word) for word in COMMANDS[command]))
    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "BP206 " in said
    assert "WriteFile would be executed while it is loaded" in said
    assert not (saved / "witness").exists()
