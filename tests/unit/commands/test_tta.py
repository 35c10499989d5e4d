"""``tta evaluate`` and ``tta fit`` in this process, on exact arithmetic."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.backends.numpy.engine import AffineBackend
from batchproof_server.base.errors import BackendFailed
from batchproof_server.commands.tta.evaluate import early_exit_thresholds, listed
from batchproof_server.offline.evaluation import plots
from batchproof_server.offline.evaluation.augmentation import plots as chart
from batchproof_server.tta.weights import parse_weights
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle

Captured = pytest.CaptureFixture[str]
SCHEMAS = Path(__file__).resolve().parents[3] / "docs/schemas"
FAINT, CLEAR = 60, 200


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Says whether the first of 2 x 2 pixels is red, green or blue."""
    directory = write_bundle(tmp_path / "colours" / "3", PICTURES, shape=(2, 2, 3), scale=0.01)
    (directory / "labels.txt").write_text("red\ngreen\nblue\n")
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixty pictures: 45 right both ways, 13 that mirroring corrects, 2 that it corrupts."""
    labels = np.arange(60) % 3
    images = np.zeros((60, 2, 2, 3), np.uint8)
    images[np.arange(60), :, :, labels] = CLEAR
    for place in range(13):
        faintly(images[place], 0, (labels[place] + 1) % 3)
    for place in range(13, 15):
        faintly(images[place], 0, labels[place])
        images[place, :, 1] = 0
        images[place, :, 1, (labels[place] + 1) % 3] = CLEAR
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path / "data.npz"


def faintly(image: Any, column: int, index: int) -> None:
    image[:, column] = 0
    image[:, column, index] = FAINT


def evaluate(bundle: Path, data: Path, *more: str) -> int:
    return main(["tta", "evaluate", str(bundle), "--data", str(data), *more])


def fit(bundle: Path, data: Path, *more: str) -> int:
    return main(["tta", "fit", str(bundle), "--data", str(data), *more])


def test_a_gain_that_is_significant_is_recommended_and_everything_is_in_the_report(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    given = ("--policies", "flip", "--aggregations", "mean", "--early-exit", "0.6,0.8")
    assert evaluate(bundle, data, *given) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "colours version 3: RECOMMENDED flip, mean"
    assert "corrects 13 pictures and corrupts 2, p = 0.0074" in lines[1]
    assert "60 of 60 pictures, 3 classes" in lines[2]
    (none,) = [line.split() for line in lines if line.startswith("  none")]
    assert none[:5] == ["none", "-", "1", "47", "78.33%"]
    (trial,) = [line.split() for line in lines if line.endswith("recommended")]
    assert trial[:9] == ["flip", "mean", "2", "58", "96.67%", "13", "2", "0.0074", "0.0074"]
    views = [line.split() for line in lines if line.startswith(("  flip    id", "  flip    hf"))]
    assert [row[1:3] + row[6:] for row in views] == [
        ["identity", "47", "0", "0"],
        ["hflip", "58", "13", "2"],
    ]
    exits = [line.split() for line in lines if line.startswith("  flip          0")]
    assert [row[1:6] for row in exits] == [
        ["0.6", "75.00%", "96.67%", "13", "2"],
        ["0.8", "0.00%", "96.67%", "13", "2"],
    ]
    assert "WARNING: flip: hflip: may show something else" in said.out
    assert said.err == ""


def test_without_options_every_policy_is_tried_and_holm_asks_more_of_each(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert evaluate(bundle, data, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((SCHEMAS / "tta-evaluation.schema.json").read_text()))
    assert [(trial["policy"], trial["aggregation"]) for trial in document["trials"]] == [
        (policy, aggregation)
        for policy in ("flip", "d4", "crops", "light")
        for aggregation in ("mean", "logit_mean")
    ]
    flip = document["trials"][0]
    assert flip["change"] == {
        "corrected": 13,
        "corrupted": 2,
        "p_value": pytest.approx(242 / 2**15),
    }
    assert flip["adjusted_p"] > flip["change"]["p_value"]
    assert [detail["policy"] for detail in document["details"]] == ["flip", "d4", "crops", "light"]
    assert [point["threshold"] for point in document["details"][1]["early_exit"]] == [
        0.9,
        0.95,
        0.99,
    ]
    assert [trial["cost"]["views"] for trial in document["trials"][::2]] == [2, 8, 6, 5]


def test_a_limit_takes_so_many_and_nothing_is_recommended_on_few(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert evaluate(bundle, data, "--limit", "12", "--policies", "none, flip") == 0
    said = capsys.readouterr().out
    assert said.startswith("colours version 3: RECOMMENDED none\n  because       no gain is signif")
    assert "12 of 60 pictures" in said


def test_a_chart_is_written(
    bundle: Path, data: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = data.parent / "new" / "plots"
    given = ("--policies", "flip", "--plots", str(out))
    assert evaluate(bundle, data, *given) == 0
    assert f"  wrote         {out / 'tta.png'}\n" in capsys.readouterr().out
    with Image.open(out / "tta.png") as image:
        assert image.format == "PNG"

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chart, "draw", full)
    assert evaluate(bundle, data, *given) == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr(plots, "is_installed", lambda: False)
    assert evaluate(bundle, data, *given) == 2
    assert "matplotlib is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--policies", "flop"), 'unknown policy "flop", one of none, flip, d4, crops, light'),
        (("--policies", "none"), 'no policy beside "none"'),
        (("--policies", ""), 'unknown policy ""'),
        (("--aggregations", "median"), 'unknown aggregation "median", one of mean'),
        (("--aggregations", "weighted"), 'the policy "flip" has no weights'),
        (("--views", "blur"), 'unknown view "blur", one of identity'),
        (("--early-exit", "0.9,2"), '--early-exit: "0.9,2", expected numbers above 0 and up to 1'),
        (("--early-exit", "often"), '--early-exit: "often"'),
        (("--early-exit", "nan"), '--early-exit: "nan"'),
        (("--limit", "0"), "--limit: 0, expected 1 or more"),
        (("--seed", "-1"), "seed is -1"),
        (("--config", "absent.toml"), "absent.toml: cannot be read"),
        (("--data", "absent"), "absent: no such file or folder"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(
    bundle: Path, data: Path, more: tuple[str, str], said: str, capsys: Captured
) -> None:
    assert evaluate(bundle, data, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_data_without_labels_or_of_other_classes_exits_2(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    np.savez(data, images=images)
    assert evaluate(bundle, data) == 2
    assert 'holds no array "labels"' in capsys.readouterr().err
    np.savez(data, images=images, labels=labels + 1)
    assert fit(bundle, data, "--policy", "flip") == 2
    assert "expected 0 to 2" in capsys.readouterr().err


def test_a_model_without_pictures_exits_2_and_a_refused_one_1(
    tmp_path: Path, data: Path, capsys: Captured
) -> None:
    tensors = write_bundle(tmp_path / "other" / "1", LOGITS, shape=(2, 2, 3))
    assert evaluate(tensors, data) == 2
    assert "no recipe" in capsys.readouterr().err
    (tensors / "batchproof.toml").write_text("format = 7\n")
    assert evaluate(tensors, data) == 1
    assert "REFUSED" in capsys.readouterr().err


def test_a_model_that_fails_on_a_picture_exits_1(
    bundle: Path, data: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = AffineBackend.execute

    def failing(self: AffineBackend, inputs: Any) -> Any:
        if float(inputs["image"].max()) == CLEAR:
            raise BackendFailed("the model failed")
        return execute(self, inputs)

    monkeypatch.setattr(AffineBackend, "execute", failing)
    assert evaluate(bundle, data) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "batchproof-server: image 0: the model failed while it executed this request: "
        "the model failed"
    )


def test_weights_are_fitted_told_and_written_bound_to_the_model(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    out = data.parent / "weights.json"
    assert fit(bundle, data, "--policy", "flip", "-o", str(out)) == 0
    said = capsys.readouterr().out
    assert said.startswith("colours version 3: weights of flip, BETTER than equal ones")
    assert "  30 held-out pictures:" in said
    assert f"  wrote         {out}\n" in said
    weights = parse_weights(out.read_text())
    assert f"  digest        {weights.digest}" in said
    assert f"  model         {weights.model_digest}" in said
    assert weights.rows == 30
    assert weights.weights[1] > weights.weights[0]
    assert fit(bundle, data, "--policy", "flip", "-o", str(out)) == 2
    assert "exists already, expected a new file" in capsys.readouterr().err


def test_weights_lie_beside_the_model_and_the_same_command_gives_the_same(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    given = ("--policy", "d4", "--held-out", "0.25", "--split-seed", "4", "--json")
    assert fit(bundle, data, *given, "-o", str(data.parent / "other.json")) == 0
    other = json.loads(capsys.readouterr().out)
    assert fit(bundle, data, *given) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((SCHEMAS / "tta-fit.schema.json").read_text()))
    assert document == other
    assert (document["weights"]["rows"], document["held_out_pictures"]) == (45, 15)
    written = (bundle / "tta_weights.json").read_text()
    assert written == (data.parent / "other.json").read_text()
    assert parse_weights(written).digest == document["weights_digest"]


def test_a_disk_that_is_full_is_one_line(
    bundle: Path, data: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Path.open

    def full(self: Path, mode: str = "r", **keys: Any) -> Any:
        if mode == "x":
            raise OSError(28, "No space left on device")
        return usual(self, mode, **keys)

    monkeypatch.setattr(Path, "open", full)
    assert fit(bundle, data, "--policy", "flip", "-o", str(data.parent / "w.json")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("w.json: cannot be written (No space left on device)")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--policy", "flop"), 'unknown policy "flop"'),
        (("--policy", ""), 'unknown policy ""'),
        (("--policy", "none"), 'the policy "none" has one view, expected several to weigh'),
        (("--policy", "flip", "--held-out", "1"), "--held-out: 1, expected above 0 and below 1"),
        (("--policy", "flip", "--held-out", "nan"), "--held-out: nan, expected above 0"),
        (("--policy", "flip", "--limit", "1"), "1 picture, expected at least 2"),
        (
            ("--policy", "flip", "-o", "absent/w.json"),
            "absent/w.json: cannot be written, absent is no",
        ),
    ],
)
def test_a_fit_that_cannot_be_made_is_one_line_and_exits_2(
    bundle: Path, data: Path, more: tuple[str, ...], said: str, capsys: Captured
) -> None:
    assert fit(bundle, data, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_lists_are_split_at_commas_outside_parentheses() -> None:
    assert listed(None) is None
    assert listed("mean, sharpen(2),x(1,2) ,y") == ("mean", "sharpen(2)", "x(1,2)", "y")
    assert early_exit_thresholds(" ") == ()
    assert early_exit_thresholds("0.9, 0.5,0.9") == (0.5, 0.9)
