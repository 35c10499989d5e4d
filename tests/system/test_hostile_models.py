"""No command loads or executes a model that would act, and none waits for one that hangs."""

import shutil
from collections.abc import Callable
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


@pytest.mark.parametrize(
    ("command", "save"),
    [
        (("certify", "BUNDLE"), hostile.hanging),
        (("evaluate", "BUNDLE", "--data", "DATA"), hostile.hanging),
        (("inspect", "BUNDLE"), hostile.hanging_when_opened),
    ],
    ids=["certify", "evaluate", "inspect"],
)
def test_a_command_ends_although_the_model_hangs(
    saved: Path, tmp_path: Path, command: tuple[str, ...], save: Callable[[Path], None]
) -> None:
    bundle = tmp_path / "hanging" / "1"
    save(bundle)
    (bundle / "batchproof.toml").write_text('format = 1\n[output]\nkind = "logits"\n')
    settings = tmp_path / "settings.toml"
    settings.write_text("[execution]\nmax_load_step_s = 3\n")
    places = {"BUNDLE": bundle, "DATA": saved / "data"}
    words = (places.get(word, word) for word in command)
    ended = run(*words, "--config", settings)
    assert ended.returncode == 1
    assert "no progress within 3 s" in ended.stdout + ended.stderr
