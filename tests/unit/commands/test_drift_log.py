"""``drift --log`` in this process: what is told, left out and refused; nothing is executed."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchproof_server.__main__ import main
from support.bundles_on_disk import PICTURES, write_bundle

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path, capsys: Captured) -> Path:
    """Three scores of 2 x 2 pixels, with a profile of 240 pictures."""
    directory = write_bundle(tmp_path / "colours" / "3", PICTURES, shape=(2, 2, 3), scale=0.01)
    images = np.random.default_rng(0).integers(0, 256, (240, 2, 2, 3)).astype(np.uint8)
    np.savez(tmp_path / "known.npz", images=images, labels=images[:, 0, 0].argmax(axis=1))
    assert main(["profile", str(directory), "--data", str(tmp_path / "known.npz")]) == 0
    capsys.readouterr()
    return directory


def answer(index: int, **more: Any) -> dict[str, Any]:
    return {"classes": [{"index": index, "score": 0.5}], "entropy": 1.0, **more}


def write(tmp_path: Path, said: list[dict[str, Any]]) -> str:
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in said))
    return str(file)


def test_answers_of_one_class_alone_are_drift_without_an_estimate(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    log = write(tmp_path, [*[answer(2)] * 300, {"picture": "x.png", "error": {}}])
    page = tmp_path / "drift.html"
    assert main(["drift", str(bundle), "--log", log, "--html", str(page)]) == 1
    said = capsys.readouterr().out
    assert re.search(r"colours version 3: SEVERE DRIFT: .*class", said)
    assert f"{log}: 300 of 301 answers" in said
    assert "no estimate: the inputs are not like the reference" in said
    assert "note          1 lines were left out: no answer" in said
    assert "300 answers do not say their confidence exactly: ask for all probabilities" in said
    assert "Not seen in these answers." in page.read_text()


def test_usual_answers_do_not_say_that_the_accuracy_is_as_it_was(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    profile = json.loads((bundle / "profile.json").read_text())
    usual = [
        answer(index)
        for index, each in enumerate(profile["classes"])
        for _ in range(each["answered"])
    ]
    entropy = profile["signals"]["entropy"]
    middle = np.linspace(0.001, 0.999, len(usual))
    values = np.interp(
        middle, np.arange(11) / 10, [entropy["min"], *entropy["edges"], entropy["max"]]
    )
    said = [{**each, "entropy": value} for each, value in zip(usual, values.tolist(), strict=True)]
    assert main(["drift", str(bundle), "--log", write(tmp_path, said)]) == 0
    told = capsys.readouterr().out
    assert "NO DRIFT that would alert" in told
    assert "no estimate: nothing is known of the inputs" in told


def test_captured_rows_are_estimated_by_their_confidence_alone(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    profile = json.loads((bundle / "profile.json").read_text())
    means = {name: each["mean"] for name, each in profile["signals"].items()}
    row = {
        "model": "colours",
        "version": 3,
        "answer": {"class": 0},
        "signals": {"confidence": means["confidence"], "tensor_mean": means["tensor_mean"]},
    }
    said = [{**row, "sample": "random"}] * 60 + [{**row, "sample": "suspicious"}] * 5
    assert main(["drift", str(bundle), "--log", write(tmp_path, said)]) == 0
    told = capsys.readouterr().out
    accuracy = profile["accuracy_ratio"]
    assert f"in the reference; estimates now: DoC {accuracy:.1%}" in told
    assert "5 lines were left out: suspicious sample" in told


def test_faulty_lines_are_named_and_the_rest_is_compared_when_asked_for(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    log = write(tmp_path, [answer(0), answer(9), answer(1)])
    assert main(["drift", str(bundle), "--log", log]) == 2
    said = capsys.readouterr().err
    assert "line 2: the class is 9, expected a whole number from 0 to 2" in said
    assert "leave them out with --skip-faulty" in said
    assert main(["drift", str(bundle), "--log", log, "--skip-faulty"]) == 0
    said = capsys.readouterr().out
    assert "TOO FEW ANSWERS to tell" in said
    assert "1 lines were left out that cannot be used, the first is line 2: the class is 9" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--log", "log.jsonl", "--limit", "5"], "--limit: is of pictures"),
        (["--log", "log.jsonl", "--tta"], "--tta: a log does not say how its views disagreed"),
        (["--data", "folder", "--skip-faulty"], "--skip-faulty: is of the lines of a log"),
        (["--log", "missing.jsonl"], "missing.jsonl: No such file or directory"),
    ],
)
def test_wrong_usage_is_told(bundle: Path, given: list[str], said: str, capsys: Captured) -> None:
    assert main(["drift", str(bundle), *given]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["--log", "a", "--data", "b"]])
def test_pictures_or_a_log_is_asked_for(bundle: Path, given: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drift", str(bundle), *given])
    assert ended.value.code == 2


def test_a_profile_of_another_model_is_refused(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    text = (bundle / "profile.json").read_text()
    other = tmp_path / "other.json"
    other.write_text(re.sub(r'"model_digest": "..', '"model_digest": "00', text))
    log = write(tmp_path, [answer(0)])
    assert main(["drift", str(bundle), "--log", log, "--profile", str(other)]) == 1
    assert "it is of the model 00" in capsys.readouterr().err
