"""``evaluate`` in this process, on exact arithmetic: data, exit codes and what is printed."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.base.errors import ServingError
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.evaluate import command
from batchproof_server.commands.evaluate.recipe_check import check_recipe
from batchproof_server.offline.evaluation import plots
from batchproof_server.serving.predictor import Predictor
from batchproof_server.serving.request import Prediction, PredictRequest
from support.bundles_on_disk import LOGITS, PICTURES, picture, write_bundle

Captured = pytest.CaptureFixture[str]
SCHEMA = Path(__file__).resolve().parents[3] / "docs/schemas/evaluation.schema.json"
LABELS = "red\ngreen\nblue\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Says whether the first of 2 x 2 pixels is red, green or blue."""
    directory = write_bundle(tmp_path / "colours" / "3", PICTURES, shape=(2, 2, 3), scale=0.01)
    (directory / "labels.txt").write_text(LABELS)
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty pictures, 10 of each class; the model is wrong on 3 of the greens."""
    labels = np.repeat(np.arange(3), 10)
    images = np.zeros((30, 2, 2, 3), np.uint8)
    images[np.arange(30), :, :, labels] = 200
    images[10:13] = (255, 20, 0)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path / "data.npz"


def evaluate(bundle: Path, data: Path, *more: str) -> int:
    """Without the search, which has tests of its own below."""
    return searching(bundle, data, "--no-recipe-search", *more)


def searching(bundle: Path, data: Path, *more: str) -> int:
    return main(["evaluate", str(bundle), "--data", str(data), *more])


def test_single_and_batch_agree_and_the_report_says_it(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert evaluate(bundle, data) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "colours version 3: SAME ANSWERS alone and in a batch"
    assert "30 of 30 pictures, 3 classes" in lines[1]
    (single,) = [line for line in lines if line.startswith("  one at a time")]
    assert single.split()[4:7] == ["1", "27", "90.00%"]
    together = [line for line in lines if line.startswith("  in process")]
    assert len(together) == 4
    assert all(line.split()[-3:] == ["0", "0", "0"] for line in together)
    assert "Keras predict: not available: affine.json is no .keras file" in said.out
    assert said.err == ""


def test_json_fits_the_schema_and_names_what_was_wrong(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert evaluate(bundle, data, "--json", "--batch-sizes", "64, 3,1,3") == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["verdict"] == "same"
    sizes = [(path["batch_rows"], path["buckets_rows"]) for path in document["paths"]]
    assert sizes == [(1, [1]), (1, [1]), (3, [4]), (64, [2, 4])]
    assert {"true": 1, "answer": 0, "pictures": 3} in document["confusion"]
    assert document["subject"]["labels"] == ["red", "green", "blue"]


def test_a_limit_takes_as_many_of_each_class(bundle: Path, data: Path, capsys: Captured) -> None:
    assert evaluate(bundle, data, "--json", "--limit", "6") == 0
    document = json.loads(capsys.readouterr().out)
    subject = document["subject"]
    assert (subject["pictures"], subject["pictures_there"]) == (6, 30)
    per_class = [0, 0, 0]
    for cell in document["confusion"]:
        per_class[cell["true"]] += cell["pictures"]
    assert per_class == [2, 2, 2]


def folder(root: Path, **files: bytes) -> Path:
    for name, content in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


def test_a_folder_of_classes_is_evaluated(bundle: Path, tmp_path: Path, capsys: Captured) -> None:
    files = {"red__a.png": picture(3), "red__b.png": picture(4), "2__c.png": picture(5)}
    assert evaluate(bundle, folder(tmp_path / "data", **files)) == 0
    assert "3 of 3 pictures" in capsys.readouterr().out


def test_each_picture_that_cannot_be_read_is_one_line(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    files = {"red__a.png": picture(3), "red__b.png": b"no", "blue__c.png": picture(3)[:50]}
    large = {"blue__d.png": picture(3, size=9)}
    assert evaluate(bundle, folder(tmp_path / "data", **files, **large)) == 2
    said = capsys.readouterr()
    starts = [line.split(": ")[1] for line in said.err.splitlines()]
    assert starts == ["red/b.png", "blue/c.png", "blue/d.png"]
    assert said.out == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--batch-sizes", "1"), "1 alone compares nothing"),
        (("--batch-sizes", "1,,2"), "expected whole numbers from 1"),
        (("--batch-sizes", "0,2"), "expected whole numbers from 1"),
        (("--limit", "0"), "--limit: 0, expected 1 or more"),
        (("--config", "absent.toml"), "absent.toml: cannot be read"),
        (("--plots", "data.npz/x"), "data.npz/x: cannot be made"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(
    bundle: Path,
    data: Path,
    more: tuple[str, str],
    said: str,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(data.parent)
    assert evaluate(bundle, data, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_data_that_cannot_be_used_exits_2(bundle: Path, data: Path, capsys: Captured) -> None:
    assert evaluate(bundle, data.parent / "absent") == 2
    write_bundle(bundle.parent / "4")
    assert evaluate(bundle.parent, data) == 2
    (bundle / "labels.txt").unlink()
    with np.load(data) as arrays:
        np.savez(data, images=arrays["images"], labels=arrays["labels"] + 1)
    assert evaluate(bundle, data) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "batchproof-server: image 29: class 3, expected 0 to 2"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [(LOGITS, "no recipe"), ('format = 1\n[recipe]\n[output]\nkind = "raw"\n', '"raw", expected')],
)
def test_a_model_without_pictures_or_without_classes_exits_2(
    tmp_path: Path, data: Path, manifest: str, said: str, capsys: Captured
) -> None:
    bundle = write_bundle(tmp_path / "other" / "1", manifest, shape=(2, 2, 3))
    assert evaluate(bundle, data) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_refused_model_exits_1_with_its_findings(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    (bundle / "labels.txt").write_text("one\ntwo\nthree\nfour\n")
    assert evaluate(bundle, data) == 1
    first, finding = capsys.readouterr().err.splitlines()
    assert first.endswith("REFUSED, colours version 3 cannot be loaded")
    assert finding == "batchproof-server:   labels: 4 for 3 classes"
    (bundle / "batchproof.toml").write_text("format = 7\n")
    assert evaluate(bundle, data) == 1
    assert "batchproof.toml: format" in capsys.readouterr().err


def test_a_model_that_fails_on_a_picture_exits_1(
    bundle: Path, data: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def predict(self: Predictor, request: PredictRequest) -> Prediction:
        del self, request
        raise ServingError("INTERNAL: the model failed")

    monkeypatch.setattr(Predictor, "predict", predict)
    assert evaluate(bundle, data) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "batchproof-server: image 0: INTERNAL: the model failed"


def test_plots_are_written_and_a_missing_matplotlib_is_one_line(
    bundle: Path, data: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = data.parent / "new" / "plots"
    assert evaluate(bundle, data, "--plots", str(out)) == 0
    assert f"  wrote         {out / 'confusion.png'}\n" in capsys.readouterr().out
    with Image.open(out / "reliability.png") as image:
        assert image.format == "PNG"

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plots, "draw", full)
    assert evaluate(bundle, data, "--plots", str(out)) == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr(plots, "is_installed", lambda: False)
    assert evaluate(bundle, data, "--plots", str(out)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"batchproof-server: {plots.MISSING}"


def test_bars_are_told_and_write_nothing_where_there_is_no_terminal(capsys: Captured) -> None:
    with show_bars(3) as bars:
        count = bars.begin("one step")
        count(2)
        (task,) = bars.progress.tasks
        assert (task.description, task.completed, task.total) == ("one step", 2, 3)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    """As sure as it is right on ``many``."""
    directory = write_bundle(tmp_path / "sure" / "1", PICTURES, shape=(2, 2, 3), scale=0.0145)
    (directory / "labels.txt").write_text(LABELS)
    return directory


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Ninety pictures, of which every tenth is labelled wrong."""
    random = np.random.default_rng(2)
    images = random.integers(0, 40, (90, 2, 2, 3)).astype(np.uint8)
    labels = np.arange(90) % 3
    images[np.arange(90), :, :, labels] = 200
    labels[::10] = (labels[::10] + 1) % 3
    np.savez(tmp_path / "many.npz", images=images, labels=labels)
    return tmp_path / "many.npz"


def test_a_right_recipe_is_said_to_be_beaten_by_none(
    calibrated: Path, many: Path, capsys: Captured
) -> None:
    assert searching(calibrated, many) == 0
    said = capsys.readouterr()
    (line,) = [each for each in said.out.splitlines() if each.startswith("  recipe  ")]
    assert "beaten by none of " in line
    assert line.endswith("others on 90 pictures")
    assert said.err == ""


def test_a_wrong_recipe_is_warned_of_and_changes_no_verdict(
    calibrated: Path, many: Path, capsys: Captured
) -> None:
    manifest = calibrated / "batchproof.toml"
    manifest.write_text(manifest.read_text() + 'color = "bgr"\n')
    assert searching(calibrated, many, "--json") == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["recipe_check"]["is_beaten"]
    assert "it has bgr, not rgb" in document["recipe_check"]["note"]
    assert said.err.startswith(
        "batchproof-server: warning: the manifest's recipe is BEATEN beyond doubt"
    )


def test_too_few_pictures_are_said_to_be_too_few(
    bundle: Path, data: Path, capsys: Captured
) -> None:
    assert searching(bundle, data, "--limit", "6") == 0
    assert "not compared with others: 6 pictures, expected 20 or more" in capsys.readouterr().out


def test_the_search_ends_when_its_time_is_over(
    calibrated: Path, many: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "check_recipe", partial(check_recipe, time_limit_s=0.0))
    assert searching(calibrated, many) == 0
    assert "not compared with others: the search takes longer than 0 s" in capsys.readouterr().out
