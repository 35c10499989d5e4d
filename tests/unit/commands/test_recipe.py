"""``recipe`` in this process, on exact arithmetic: what is found, shown and refused."""

import io
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchproof_server.__main__ import main
from batchproof_server.base.errors import ServingError
from batchproof_server.base.signature import Array
from batchproof_server.serving.predictor import Predictor
from support.bundles_on_disk import LOGITS, PICTURES, RAW, write_bundle

Captured = pytest.CaptureFixture[str]
LABELS = "red\ngreen\nblue\n"
BGR = LOGITS + '[recipe]\ncolor = "bgr"\n'


def _bundle(directory: Path, manifest: str) -> Path:
    """Says whether the first of 2 x 2 pixels is red, green or blue; surest of levels 0..255."""
    write_bundle(directory, manifest, shape=(2, 2, 3), scale=0.0145)
    (directory / "labels.txt").write_text(LABELS)
    return directory


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return _bundle(tmp_path / "colours" / "3", PICTURES)


@pytest.fixture
def swapped(tmp_path: Path) -> Path:
    return _bundle(tmp_path / "swapped" / "3", BGR)


def _images(count: int) -> tuple[Array, Array]:
    """Bright in one channel, which is the label but of every tenth."""
    random = np.random.default_rng(2)
    labels = np.arange(count) % 3
    images = random.integers(0, 40, (count, 2, 2, 3)).astype(np.uint8)
    images[np.arange(count), :, :, labels] = 200
    labels[::10] = (labels[::10] + 1) % 3
    return images, labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images, labels = _images(90)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path / "data.npz"


def find(bundle: Path, *more: str) -> int:
    return main(["recipe", "find", str(bundle), *more])


def show(bundle: Path, *more: str) -> int:
    return main(["recipe", "show", str(bundle), *more])


def document(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_right_recipe_is_kept(bundle: Path, data: Path, capsys: Captured) -> None:
    assert find(bundle, "--data", str(data)) == 0
    said = capsys.readouterr().out
    assert "THE MANIFEST'S RECIPE MAY BE RIGHT" in said.splitlines()[0]
    assert "90 of 90 pictures, 3 classes" in said
    assert "\n  engine        numpy " in said
    assert "Keep it:" in said
    assert 'color = "rgb"' in said


def test_a_wrong_colour_order_is_beaten_and_the_recipe_to_write_is_printed(
    swapped: Path, data: Path, capsys: Captured
) -> None:
    assert find(swapped, "--data", str(data)) == 1
    said = capsys.readouterr().out
    assert "THE MANIFEST'S RECIPE IS BEATEN" in said.splitlines()[0]
    written = tomllib.loads(said[said.index("[recipe]") :])
    assert written["recipe"]["color"] == "rgb"


def test_the_json_holds_what_the_report_says(swapped: Path, data: Path, capsys: Captured) -> None:
    assert find(swapped, "--data", str(data), "--json") == 1
    result = document(capsys)
    first, *rest = result["recipes"]
    (own,) = [each for each in rest if each["is_manifests"]]
    assert result["is_own_beaten"]
    assert first["is_tied"]
    assert not own["is_tied"]
    assert own["behind_interval"][0] > 0
    assert "colour order" in own["differs_from_leader_in"]
    assert result["comparisons"] >= len(result["recipes"]) - 1
    tied = [each for each in result["recipes"] if each["is_tied"]]
    assert result["to_write"] in [each["recipe"] for each in tied]
    assert result["to_write"] == own["recipe"].replace('"bgr"', '"rgb"')
    assert all(each["behind_interval"][0] <= 0 <= each["behind"] for each in tied)


def test_a_bundle_without_a_recipe_gets_one(tmp_path: Path, data: Path, capsys: Captured) -> None:
    bare = _bundle(tmp_path / "bare" / "1", LOGITS)

    assert find(bare, "--data", str(data)) == 0
    said = capsys.readouterr().out
    assert "NO RECIPE IN THE MANIFEST" in said
    assert tomllib.loads(said[said.index("[recipe]") :])["recipe"]["color"] == "rgb"


def test_without_labels_there_is_a_hint_that_says_it_is_one(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(_images(30)[0]):
        Image.fromarray(image).save(folder / f"{number}.png")

    assert find(bundle, "--unlabelled", str(folder)) == 0
    assert "a hint only" in capsys.readouterr().out
    assert find(bundle, "--unlabelled", str(folder), "--json") == 0
    result = document(capsys)
    assert result["hint"].startswith("a hint only")
    values = [each["mutual_information"] for each in result["recipes"]]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--data", "nowhere"], "nowhere: no such file or folder"),
        (["--unlabelled", "nowhere"], "nowhere: expected a folder of pictures"),
        (["--limit", "0", "--data", "{data}"], "--limit: 0, expected 1 or more"),
        (["--limit", "19", "--data", "{data}"], "19 pictures, expected 20 or more"),
        (["--limit", "19", "--unlabelled", "{folder}"], "19 pictures, expected 20 or more"),
        (["--unlabelled", "{empty}"], "holds no picture"),
    ],
)
def test_data_that_does_not_do_exits_2_with_a_sentence(
    bundle: Path, data: Path, tmp_path: Path, capsys: Captured, given: list[str], said: str
) -> None:
    folder, empty = tmp_path / "pictures", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    for number, image in enumerate(_images(20)[0]):
        Image.fromarray(image).save(folder / f"{number}.png")
    places = {"data": data, "folder": folder, "empty": empty}

    assert find(bundle, *(each.format(**places) for each in given)) == 2
    assert said in capsys.readouterr().err


def test_a_picture_that_the_recipe_refuses_exits_2_and_is_named(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    images, labels = _images(30)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "set" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "set" / str(label) / f"{number}.png")
    (tmp_path / "set" / "0" / "0.png").write_bytes(b"no picture")

    assert find(bundle, "--data", str(tmp_path / "set")) == 2
    assert "0/0.png: the picture is of an unknown format" in capsys.readouterr().err


def test_a_raw_output_exits_2(tmp_path: Path, data: Path, capsys: Captured) -> None:
    raw = _bundle(tmp_path / "raw" / "1", RAW + "[recipe]\n")
    (raw / "labels.txt").unlink()

    assert find(raw, "--data", str(data)) == 2
    assert 'output.kind is "raw"' in capsys.readouterr().err


def test_a_model_that_fails_exits_1(
    bundle: Path, data: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ServingError("the model failed")

    monkeypatch.setattr(Predictor, "predict", fail)

    assert find(bundle, "--data", str(data)) == 1
    assert "the model failed" in capsys.readouterr().err


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "one.png"
    Image.fromarray(_images(1)[0][0]).save(file)
    return file


def test_the_tensor_is_shown(bundle: Path, picture: Path, capsys: Captured) -> None:
    assert show(bundle, str(picture)) == 0
    said = capsys.readouterr().out
    assert "2 x 2 pixels, png" in said
    assert "float32 [2, 2, 3]" in said
    assert "red: mean 200, 200 to 200" in said


def test_the_tensor_is_written_as_the_model_sees_it(
    swapped: Path, picture: Path, tmp_path: Path
) -> None:
    assert show(swapped, str(picture), "--out", str(tmp_path / "x.npy")) == 0
    assert show(swapped, str(picture), "--out", str(tmp_path / "x.png")) == 0
    came = np.asarray(Image.open(picture)).astype(np.float32)
    assert np.array_equal(np.load(tmp_path / "x.npy"), came[..., ::-1])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), came)


def test_what_another_program_did_otherwise_is_named_and_exits_1(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured
) -> None:
    mine = np.asarray(Image.open(picture)).astype(np.float32)
    np.save(tmp_path / "same.npy", mine)
    np.save(tmp_path / "other.npy", mine[np.newaxis, ..., ::-1] / np.float32(255))

    assert show(bundle, str(picture), "--against", str(tmp_path / "same.npy")) == 0
    assert "THE SAME, bit for bit" in capsys.readouterr().out
    assert show(bundle, str(picture), "--against", str(tmp_path / "other.npy")) == 1
    said = capsys.readouterr().out
    assert "yours: x / 255; the manifest: 0..255" in said
    assert "yours: bgr; the manifest: rgb" in said
    assert "an axis of rows" in said
    assert "That explains all of it." in said


def _pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}], object), allow_pickle=True)
    return stream.getvalue()


def _lying() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"no array", _pickled(), _lying()], ids=["empty", "text", "pickle", "lie"]
)
def test_what_is_no_array_exits_2(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured, content: bytes
) -> None:
    (tmp_path / "mine.npy").write_bytes(content)

    assert show(bundle, str(picture), "--against", str(tmp_path / "mine.npy")) == 2
    assert "no array to compare with" in capsys.readouterr().err


def test_an_array_of_another_size_exits_2(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured
) -> None:
    np.save(tmp_path / "mine.npy", np.zeros((224, 224, 3), np.float32))

    assert show(bundle, str(picture), "--against", str(tmp_path / "mine.npy")) == 2
    assert "it is float32 [224, 224, 3], expected [2, 2, 3]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nowhere.png"], "nowhere.png: cannot be read"),
        (["{text}"], "unknown format"),
        (["{picture}", "--out", "x.tiff"], "expected a name that ends in .npy or .png"),
        (["{picture}", "--out", "{picture}"], "is there already"),
        (["{picture}", "--out", "nowhere/x.npy"], "cannot be written"),
        (["{picture}", "--against", "nowhere.npy"], "nowhere.npy: cannot be read"),
    ],
)
def test_what_cannot_be_shown_exits_2_with_a_sentence(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured, given: list[str], said: str
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    places = {"picture": picture, "text": tmp_path / "text.png"}

    assert show(bundle, *(each.format(**places) for each in given)) == 2
    assert said in capsys.readouterr().err


def test_a_bundle_without_a_recipe_shows_nothing(
    tmp_path: Path, picture: Path, capsys: Captured
) -> None:
    bare = _bundle(tmp_path / "bare" / "1", LOGITS)

    assert show(bare, str(picture)) == 2
    assert "the manifest has no [recipe]" in capsys.readouterr().err
