"""``drift`` in this process, on exact arithmetic: what is compared, told, written and refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.base.signature import Array
from support.bundles_on_disk import PICTURES, write_bundle

Captured = pytest.CaptureFixture[str]


def pictures(seed: int, lightest: int = 255) -> tuple[Array, Array]:
    """240 pictures of 2 x 2 pixels, 80 of each colour."""
    numbers = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 80)
    images = numbers.integers(0, 60, (240, 2, 2, 3)).astype(np.uint8)
    images[np.arange(240), :, :, labels] = numbers.integers(100, lightest, (240, 1, 1))
    return images, labels


def save(folder: Path, images: Array) -> Path:
    """Writes a folder of pictures, whatever they show."""
    (folder / "monday").mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "monday" / f"{number:03}.png")
    return folder


@pytest.fixture
def bundle(tmp_path: Path, capsys: Captured) -> Path:
    """Says whether the pixels are red, green or <b>blue, and has a profile of 240 pictures."""
    directory = write_bundle(tmp_path / "colours" / "3", PICTURES, shape=(2, 2, 3), scale=0.01)
    (directory / "labels.txt").write_text("red\ngreen\n<b>blue\n")
    images, labels = pictures(0)
    np.savez(tmp_path / "known.npz", images=images, labels=labels)
    assert main(["profile", str(directory), "--data", str(tmp_path / "known.npz")]) == 0
    capsys.readouterr()
    return directory


@pytest.fixture
def same(tmp_path: Path) -> Path:
    return save(tmp_path / "same", pictures(1)[0])


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    return save(tmp_path / "dark", pictures(2, lightest=110)[0] // 2)


def drift(bundle: Path, data: Path, *more: str) -> int:
    return main(["drift", str(bundle), "--data", str(data), *more])


def test_pictures_like_the_reference_raise_no_alert(
    bundle: Path, same: Path, capsys: Captured
) -> None:
    assert drift(bundle, same) == 0
    said = capsys.readouterr().out
    assert "colours version 3: NO DRIFT that would alert" in said
    assert f"{same}: 240 of 240 pictures" in said
    assert "\n  engine        numpy " in said
    assert re.search(r"reference; estimates now: ATC \d+\.\d%, DoC \d+\.\d%", said)
    assert re.search(r"^  brightness +\w+ +240", said, re.MULTILINE)


def test_darker_pictures_are_named_by_signal_and_bin_and_no_accuracy_is_estimated(
    bundle: Path, dark: Path, capsys: Captured
) -> None:
    assert drift(bundle, dark) == 1
    said = capsys.readouterr().out
    assert re.search(r"SEVERE DRIFT: .*brightness", said)
    assert re.search(r"^  brightness: below .*: \d+\.\d% -> \d+\.\d%", said, re.MULTILINE)
    assert "no estimate: the inputs are not like the reference" in said


def test_json_has_every_figure_and_nothing_else_is_printed(
    bundle: Path, dark: Path, capsys: Captured
) -> None:
    assert drift(bundle, dark, "--json", "--limit", "210") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["verdict"]) == (1, "severe")
    assert (found["pictures"], found["pictures_there"]) == (210, 240)
    by_name = {each["name"]: each for each in found["comparison"]["signals"]}
    assert by_name["brightness"]["verdict"] == "severe"
    assert sum(each["observations"] for each in by_name["class"]["bins"]) == 210
    assert found["comparison"]["accuracy"]["atc_ratio"] is None


def test_the_page_needs_nothing_from_outside_and_trusts_no_label(
    bundle: Path, dark: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert drift(bundle, dark, "--html", str(tmp_path / "drift.html")) == 1
    page = (tmp_path / "drift.html").read_text()
    assert f"wrote         {tmp_path / 'drift.html'}" in capsys.readouterr().out
    assert "&lt;b&gt;blue" in page
    assert "<b>" not in page
    assert not re.search(r"(src|href)=|url\(|https?:|<script", page)
    assert page.count("<svg") == 14  # 13 signals of logits and pictures, and the class


def test_too_few_pictures_say_so(bundle: Path, same: Path, capsys: Captured) -> None:
    assert drift(bundle, same, "--limit", "20") == 0
    said = capsys.readouterr().out
    assert "TOO FEW PICTURES to tell" in said
    assert "no estimate: too few pictures" in said


def test_labelled_data_is_taken_too(bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    assert drift(bundle, tmp_path / "known.npz", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "none"
    assert {each["psi_above_noise"] <= 0 for each in found["comparison"]["signals"]} == {True}


def test_a_bundle_without_a_profile_is_told_how_to_build_one(
    bundle: Path, same: Path, capsys: Captured
) -> None:
    (bundle / "profile.json").unlink()
    assert drift(bundle, same) == 2
    assert f"`batchproof-server profile {bundle} --data LABELLED`" in capsys.readouterr().err


def test_a_profile_of_another_model_is_refused(
    bundle: Path, same: Path, tmp_path: Path, capsys: Captured
) -> None:
    text = (bundle / "profile.json").read_text()
    other = tmp_path / "other.json"
    other.write_text(re.sub(r'"model_digest": "..', '"model_digest": "00', text))
    assert drift(bundle, same, "--profile", str(other)) == 1
    assert "it is of the model 00" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--limit", "0"], "--limit: 0, expected 1 or more"),
        (["--tta"], "the profile has no signals of augmentation"),
    ],
)
def test_wrong_usage_is_told(
    bundle: Path, same: Path, more: list[str], said: str, capsys: Captured
) -> None:
    assert drift(bundle, same, *more) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_pictures_and_a_file_that_is_none_are_told(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "empty").mkdir()
    assert drift(bundle, tmp_path / "empty") == 2
    assert "holds no picture" in capsys.readouterr().err
    (tmp_path / "empty" / "note.txt").write_text("no picture")
    assert drift(bundle, tmp_path / "empty") == 2
    assert "note.txt" in capsys.readouterr().err


def test_the_views_of_the_profiles_policy_are_compared_when_asked_for(
    bundle: Path, same: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = str(tmp_path / "known.npz")
    assert main(["profile", str(bundle), "--data", data, "--tta", "flip"]) == 0
    capsys.readouterr()
    assert drift(bundle, same, "--tta", "--json") == 0
    found = json.loads(capsys.readouterr().out)["comparison"]["signals"]
    seen = {each["name"]: each["observations"] for each in found}
    assert seen["tta_flip_rate"] == seen["class"] == 240
