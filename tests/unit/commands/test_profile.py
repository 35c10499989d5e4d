"""``profile`` in this process, on exact arithmetic: what is written, shown and refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.commands.profile.arguments import spelled_out
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import parse_profile, profile_digest, profile_json
from batchproof_server.offline.evaluation import plots
from support.bundles_on_disk import LOGITS, PICTURES, RAW, picture, write_bundle
from support.drift_fixtures import profile as made_up

MOSTLY_PLAIN = """
[tta.policies.mostly-plain]
views = ["identity", "hflip"]
aggregation = "weighted"
weights = [3, 1]
early_exit = 0.9
"""
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Says whether the first of 2 x 2 pixels is red, green or blue."""
    directory = write_bundle(tmp_path / "colours" / "3", PICTURES, shape=(2, 2, 3), scale=0.01)
    (directory / "labels.txt").write_text("red\ngreen\nblue\n")
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """240 pictures, 80 of each class; the model is wrong on 8 of the greens."""
    numbers = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 80)
    images = numbers.integers(0, 60, (240, 2, 2, 3)).astype(np.uint8)
    images[np.arange(240), :, :, labels] = numbers.integers(100, 255, (240, 1, 1))
    images[80:88] = (255, 20, 0)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path / "data.npz"


def build(bundle: Path, data: Path, *more: str) -> int:
    return main(["profile", str(bundle), "--data", str(data), *more])


def written(file: Path) -> ReferenceProfile:
    return parse_profile(file.read_text())


def test_the_profile_of_a_bundle_is_written_into_it_and_shown(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert build(bundle, data) == 0
    made = written(bundle / "profile.json")
    assert made.pictures == 240
    assert made.accuracy_ratio == pytest.approx(232 / 240)
    assert [(each.label, each.pictures, each.right) for each in made.classes] == [
        ("red", 80, 80),
        ("green", 80, 72),
        ("blue", 80, 80),
    ]
    assert made.signals["aspect_ratio"].mean == 1
    said = capsys.readouterr().out
    assert "colours version 3: PROFILE of 240 pictures" in said
    assert "accuracy      96.67%" in said
    assert "\n  engine        numpy " in said
    assert "pictures/s" in said
    assert "with 1,000 pictures or more" in said


def test_the_same_data_make_the_same_profile_whatever_the_profile_before(
    bundle: Path, data: Path
) -> None:
    (bundle / "profile.json").write_text("nonsense")
    assert build(bundle, data) == 0
    first = (bundle / "profile.json").read_bytes()
    assert build(bundle, data) == 0
    assert (bundle / "profile.json").read_bytes() == first


def test_a_bundle_serves_what_was_built_and_certify_accepts_it(bundle: Path, data: Path) -> None:
    assert build(bundle, data) == 0
    assert main(["certify", str(bundle)]) == 0


def test_a_limit_takes_pictures_of_every_class_and_out_says_where(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    assert build(bundle, data, "--limit", "120", "-o", str(tmp_path / "half.json")) == 0
    assert [each.pictures for each in written(tmp_path / "half.json").classes] == [40, 40, 40]
    assert not (bundle / "profile.json").exists()


def test_samples_have_thumbnails_and_say_why_there_are_no_embeddings(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    for _ in range(2):
        assert build(bundle, data, "--samples", "6") == 0
    folder = bundle / "reference"
    listed = json.loads((folder / "samples.json").read_text())
    assert [each["label"] for each in listed["samples"]] == ["red"] * 2 + ["green"] * 2 + [
        "blue"
    ] * 2
    assert listed["samples"][2] == {
        "file": "0002.png",
        "name": "image 80",
        "label": "green",
        "answer": "red",
        "confidence": pytest.approx(0.85, abs=0.01),
    }
    for each in listed["samples"]:
        with Image.open(folder / each["file"]) as thumbnail:
            assert thumbnail.size == (2, 2)
    assert listed["note"] == "no embeddings: affine.json is no .keras file, it has no layers"
    assert not (folder / "embeddings.npy").exists()
    assert "6 thumbnails; no embeddings" in capsys.readouterr().out


def test_a_folder_that_is_not_ours_is_never_replaced(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    (bundle / "reference").mkdir()
    (bundle / "reference" / "thesis.txt").write_text("years of work")
    assert build(bundle, data, "--samples", "3") == 2
    assert "exists and holds no samples.json" in capsys.readouterr().err
    assert (bundle / "reference" / "thesis.txt").exists()


def test_parts_built_alike_add_up_to_the_whole(bundle: Path, data: Path, tmp_path: Path) -> None:
    whole, other = tmp_path / "whole.json", tmp_path / "other.json"
    assert build(bundle, data, "-o", str(whole)) == 0
    assert build(bundle, data, "-o", str(other), "--like", str(whole), "--limit", "60") == 0
    assert main(["profile", "merge", str(whole), str(other), "-o", str(tmp_path / "sum.json")]) == 0
    total = written(tmp_path / "sum.json")
    assert total.pictures == 300
    first, second = written(whole).signals["energy"], written(other).signals["energy"]
    counts = [one + more for one, more in zip(first.counts, second.counts, strict=True)]
    assert list(total.signals["energy"].counts) == counts


def test_profiles_of_other_models_or_bins_do_not_add_up(tmp_path: Path, capsys: Captured) -> None:
    for seed in (1, 2):
        (tmp_path / f"{seed}.json").write_text(profile_json(made_up(seed=seed)))
    files = [str(tmp_path / "1.json"), str(tmp_path / "2.json")]
    assert main(["profile", "merge", *files, "-o", str(tmp_path / "sum.json")]) == 1
    assert "the edges of confidence differ" in capsys.readouterr().err
    assert not (tmp_path / "sum.json").exists()
    assert main(["profile", "merge", files[0], "-o", str(tmp_path / "sum.json")]) == 2
    assert "1 profile, expected two or more" in capsys.readouterr().err


def test_show_prints_a_table_or_json_and_draws_each_signal(
    tmp_path: Path, capsys: Captured
) -> None:
    made = made_up(classes=30)
    (tmp_path / "some.json").write_text(profile_json(made))
    assert main(["profile", "show", str(tmp_path / "some.json")]) == 0
    said = capsys.readouterr().out
    assert profile_digest(made) in said
    assert "  the 10 others" in said
    assert main(["profile", "show", str(tmp_path / "some.json"), "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "others" not in said
    assert [line.split("  ")[1] for line in said.splitlines()[-30:]] == [
        each.label for each in made.classes
    ]
    drawn = ["--json", "--plots", str(tmp_path / "plots")]
    assert main(["profile", "show", str(tmp_path / "some.json"), *drawn]) == 0
    assert parse_profile(capsys.readouterr().out) == made
    files = sorted(file.stem for file in (tmp_path / "plots").iterdir())
    assert files == sorted(["class_group", *made.signals])
    for file in (tmp_path / "plots").iterdir():
        with Image.open(file) as shown:
            assert len(set(shown.convert("L").resize((50, 50)).tobytes())) > 10
    assert main(["profile", "show", str(tmp_path / "some.json"), "--plots", str(tmp_path)]) == 0
    assert f"wrote         {tmp_path / 'class_group.png'}" in capsys.readouterr().out


def test_show_refuses_a_profile_of_another_model_than_the_bundles(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert build(bundle, data) == 0
    assert main(["profile", "show", str(bundle / "profile.json")]) == 0
    (bundle / "profile.json").write_text(profile_json(made_up()))
    assert main(["profile", "show", str(bundle / "profile.json")]) == 1
    assert "it is of the model aaaaaaaaaaaa" in capsys.readouterr().err
    (tmp_path / "else.json").write_text(profile_json(made_up()))
    assert main(["profile", "show", str(tmp_path / "else.json"), "--bundle", str(bundle)]) == 1


def test_show_names_a_file_that_is_missing_and_an_extra_that_is(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["profile", "show", str(tmp_path / "none.json")]) == 1
    assert "none.json: cannot be read (No such file or directory)" in capsys.readouterr().err
    (tmp_path / "some.json").write_text(profile_json(made_up()))
    monkeypatch.setattr(plots, "is_installed", lambda: False)
    assert main(["profile", "show", str(tmp_path / "some.json"), "--plots", str(tmp_path)]) == 2
    assert ".[plots]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--limit", "0"), "--limit: 0, expected 1 or more"),
        (("--samples", "-1"), "--samples: -1, expected 0 or more"),
        (("-o", "/nowhere/at/all.json"), "/nowhere/at: no such folder"),
        (("--limit", "99"), "99 pictures, expected 100 or more"),
        (("--like", "/nowhere.json"), "nowhere.json: cannot be read"),
    ],
)
def test_wrong_usage_is_said_before_or_instead_of_a_profile(
    bundle: Path, data: Path, more: tuple[str, ...], said: str, capsys: Captured
) -> None:
    assert build(bundle, data, *more) in (1, 2)
    assert said in capsys.readouterr().err
    assert not (bundle / "profile.json").exists()


def test_pictures_that_cannot_be_used_are_all_named(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "data" / "red").mkdir(parents=True)
    for number in range(600):
        content = picture() if number % 300 else b"no picture"
        (tmp_path / "data" / "red" / f"{number:03}.png").write_bytes(content)
    assert build(bundle, tmp_path / "data") == 2
    said = capsys.readouterr().err
    assert "red/000.png: " in said
    assert "red/300.png: " in said


def test_models_without_pictures_or_scores_have_no_profile(
    tmp_path: Path, data: Path, capsys: Captured
) -> None:
    tensors_only = write_bundle(tmp_path / "tensors", LOGITS)
    assert build(tensors_only, data) == 2
    assert "the bundle has no recipe" in capsys.readouterr().err
    raw = write_bundle(tmp_path / "raw", RAW + "[recipe]\n", shape=(2, 2, 3))
    assert build(raw, data) == 2
    assert 'output.kind is "raw"' in capsys.readouterr().err


def test_a_model_that_is_refused_has_no_profile(tmp_path: Path, capsys: Captured) -> None:
    broken = write_bundle(tmp_path / "broken", PICTURES, shape=(2, 2, 3))
    (broken / "labels.txt").write_text("one\n")
    np.savez(tmp_path / "one.npz", images=np.zeros((9, 2, 2, 3), np.uint8), labels=np.zeros(9, int))
    assert build(broken, tmp_path / "one.npz") == 1
    assert "labels: 1 for 3 classes" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "taken.json").mkdir()
    assert build(bundle, data, "-o", str(tmp_path / "taken.json")) == 2
    assert "Is a directory" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_policy_adds_its_two_signals_and_changes_no_other(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert build(bundle, data, "-o", str(tmp_path / "plain.json")) == 0
    assert build(bundle, data, "--tta", "flip") == 0
    plain, made = written(tmp_path / "plain.json"), written(bundle / "profile.json")
    assert made.tta is not None
    assert (made.tta.policy, made.tta.views) == ("flip", ("identity", "hflip"))
    signals = {**made.signals}
    rate, information = signals.pop("tta_flip_rate"), signals.pop("tta_mutual_information")
    assert replace(made, signals=signals, tta=None) == plain
    assert sum(rate.counts) == sum(information.counts) == 240
    assert (rate.min, rate.max) == (0, 0)
    assert information.max > 0
    assert "TTA           flip: identity, hflip; mean" in capsys.readouterr().out
    assert main(["certify", str(bundle)]) == 0
    assert main(["profile", "show", str(bundle / "profile.json")]) == 0
    assert "TTA           flip: identity, hflip; mean" in capsys.readouterr().out


def test_a_policy_of_the_manifest_is_held_with_its_early_exit_and_weights(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    (bundle / "batchproof.toml").write_text(PICTURES + MOSTLY_PLAIN)
    assert build(bundle, data, "--tta", "mostly-plain") == 0
    tta = written(bundle / "profile.json").tta
    assert tta is not None
    assert (tta.aggregation, tta.early_exit, tta.weights) == ("weighted", 0.9, (3.0, 1.0))
    assert "mostly-plain: identity, hflip; weighted, early exit at 0.9" in capsys.readouterr().out
    assert main(["profile", "show", str(bundle / "profile.json")]) == 0
    (bundle / "batchproof.toml").write_text(PICTURES + MOSTLY_PLAIN.replace("0.9", "0.8"))
    assert main(["profile", "show", str(bundle / "profile.json")]) == 1
    assert 'its TTA policy "mostly-plain" has other views' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("manifest", "policy", "said"),
    [
        ("", "flop", 'unknown policy "flop", one of flip, d4, crops, light'),
        ("", "none", 'the policy "none" has one view, expected one of flip, d4, crops, light'),
        ('[tta]\nallowed = ["d4"]', "flip", 'unknown policy "flip", one of d4'),
        ("[tta]\nallowed = []", "flip", "the bundle allows no policy of several views"),
    ],
)
def test_a_policy_that_cannot_be_asked_for_is_refused_before_anything_is_loaded(
    bundle: Path, data: Path, manifest: str, policy: str, said: str, capsys: Captured
) -> None:
    (bundle / "batchproof.toml").write_text(PICTURES + manifest)
    (bundle / "affine.json").write_text("nothing that could be loaded")
    assert build(bundle, data, "--tta", policy) == 2
    assert f"--tta: {said}" in capsys.readouterr().err


def test_parts_must_have_looked_with_one_policy(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    flip, plain, more = (tmp_path / f"{name}.json" for name in ("flip", "plain", "more"))
    assert build(bundle, data, "-o", str(flip), "--tta", "flip") == 0
    assert build(bundle, data, "-o", str(plain), "--like", str(flip)) == 2
    said = '--like: their TTA policies are "flip" and none, expected the same'
    assert said in capsys.readouterr().err
    assert build(bundle, data, "-o", str(plain)) == 0
    assert build(bundle, data, "-o", str(more), "--like", str(flip), "--tta", "flip") == 0
    both = ["profile", "merge", str(flip), str(more), "-o", str(tmp_path / "sum.json")]
    assert main(both) == 0
    whole = written(tmp_path / "sum.json")
    assert whole.tta == written(flip).tta
    assert sum(whole.signals["tta_flip_rate"].counts) == 480
    capsys.readouterr()
    assert main([*both[:3], str(plain), *both[4:]]) == 1
    assert 'their TTA policies are "flip" and none, expected the same' in capsys.readouterr().err


def test_a_view_that_cannot_be_made_names_its_picture(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    own = '[tta.policies.middle]\nviews = ["identity", "crop(0.5)"]'
    (bundle / "batchproof.toml").write_text(PICTURES + own)
    assert build(bundle, data, "--tta", "middle") == 2
    assert 'image 0: view "crop(0.5)": ' in capsys.readouterr().err


def test_profile_and_a_bundle_is_short_for_build() -> None:
    assert spelled_out(["profile", "x"]) == ["profile", "build", "x"]
    for argv in (["profile", "show", "x"], ["profile"], ["profile", "-h"], ["serve", "x"], []):
        assert spelled_out(argv) == argv


def test_where_a_merged_profile_cannot_be_written_the_file_asked_for_is_named(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "some.json").write_text(profile_json(made_up()))
    asked = tmp_path / "no" / "whole.json"
    parts = [str(tmp_path / "some.json")] * 2
    assert main(["profile", "merge", *parts, "-o", str(asked)]) == 2
    assert capsys.readouterr().err == f"batchproof-server: {asked}: No such file or directory\n"
