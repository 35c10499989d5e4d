"""``recipe`` on the colour classifier, whose true recipe is known."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.__main__ import main
from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.recipe import Recipe, compile_recipe, pillow_plugs
from batchproof_server.models.bundle import read_bundle

ROOT = Path(__file__).resolve().parents[2]
GARMENTS = ROOT / "examples/garments"
BUNDLE = GARMENTS / "models/garments/1"
SAMPLES = sorted((BUNDLE / "samples").glob("*.jpg"))
PICTURES = 80

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def true() -> Recipe:
    """The recipe of the committed manifest."""
    settings = read_bundle("garments", 1, BUNDLE).manifest.recipe
    assert settings is not None
    spec = TensorSpec("image", np.dtype(np.float32), (96, 96, 3))
    return compile_recipe(settings, spec, pillow_plugs(), ImageLimits())


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(GARMENTS)


@pytest.mark.usefixtures("scripts")
def test_the_manifest_says_what_training_saw_bit_for_bit(true: Recipe) -> None:
    import train  # noqa: PLC0415 - a script, found by the fixture

    assert len(SAMPLES) == 20
    for sample in SAMPLES:
        file = sample.read_bytes()
        assert np.array_equal(true.apply(file), train.scaled(train.seen(file))), sample.name


@pytest.mark.usefixtures("scripts")
def test_the_same_seed_draws_the_same_pictures() -> None:
    from drawing import open_studio  # noqa: PLC0415 - a script, found by the fixture

    garment = np.full((28, 28), 200, np.uint8)
    one, same, other = (open_studio(seed, grounds=2) for seed in (1, 1, 2))

    assert one.photograph(garment, 3) == same.photograph(garment, 3)
    assert one.photograph(garment, 3) != other.photograph(garment, 3)


def _planted(directory: Path, written: str, instead: str) -> Path:
    shutil.copytree(BUNDLE, directory, ignore=shutil.ignore_patterns("samples"))
    manifest = directory / "batchproof.toml"
    text = manifest.read_text()
    assert written in text
    manifest.write_text(text.replace(written, instead))
    return directory


@pytest.fixture
def data(tmp_path: Path, scripts: None) -> Path:
    """Pictures that training never saw, a folder for each class."""
    del scripts
    from drawing import GARMENTS as GARMENTS_FILE  # noqa: PLC0415 - a script, found by the fixture
    from drawing import write_pictures  # noqa: PLC0415 - likewise

    with np.load(GARMENTS_FILE) as garments:
        images, labels = garments["images"], garments["labels"]
    write_pictures(tmp_path / "data", images, labels, (PICTURES, 77))
    return tmp_path / "data"


def test_exchanged_colours_are_beaten_and_the_true_recipe_is_among_the_tied_ones(
    tmp_path: Path, data: Path, true: Recipe, capsys: Captured
) -> None:
    bundle = _planted(tmp_path / "garments" / "1", 'color = "rgb"', 'color = "bgr"')

    assert main(["recipe", "find", str(bundle), "--data", str(data), "--json"]) == 1
    found: Any = json.loads(capsys.readouterr().out)
    tied = [each for each in found["recipes"] if each["is_tied"]]
    assert true.digest in [each["digest"] for each in tied]
    assert all(each["parts"]["colour order"] == "rgb" for each in tied)


def test_what_another_program_makes_of_a_sample_is_named(
    tmp_path: Path, true: Recipe, capsys: Captured
) -> None:
    file = SAMPLES[0].read_bytes()
    mine = true.apply(file)[..., ::-1] * np.float32(2)
    np.save(tmp_path / "mine.npy", mine)

    shown = ["recipe", "show", str(BUNDLE), str(SAMPLES[0])]
    assert main([*shown, "--against", str(tmp_path / "mine.npy")]) == 1
    said = capsys.readouterr().out
    assert "yours: bgr; the manifest: rgb" in said
    assert "That explains all of it." in said
