"""``diagnose`` in this process, on exact arithmetic: verdicts, exit codes and what is printed."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import jsonschema
import numpy as np
import pytest
from PIL import Image

from batchproof.text import printable
from batchproof_server.__main__ import main
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle
from support.pages import HOSTILE, Page

Captured = pytest.CaptureFixture[str]
SCHEMA = Path(__file__).resolve().parents[3] / "docs/schemas/diagnosis.schema.json"
SIDE = 12
COLOUR = (120, 60, 30)
MANIFEST = PICTURES + "normalize = { divisor = 255.0 }\n"


def painted(seed: int, light: float = 1.0) -> Image.Image:
    """Stripes on a calm ground, another place for each seed; the first pixel is reddish."""
    pixels = np.full((SIDE, SIDE, 3), COLOUR, np.float64)
    pixels[2 + seed % 5 : 5 + seed % 5, 3:9] = (250, 240 - 3 * seed, 200)
    return Image.fromarray((pixels * light).astype(np.uint8))


def tensor_of(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image, np.float32) / np.float32(255)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Says whether the first pixel is red, green or blue; has 14 reference pictures."""
    directory = write_bundle(
        tmp_path / "colours" / "3", MANIFEST, shape=(SIDE, SIDE, 3), scale=3.0, offset=0.0
    )
    (directory / "labels.txt").write_text("red\ngreen\nblue\n")
    (directory / "samples").mkdir()
    for seed in range(14):
        painted(seed).save(directory / "samples" / f"{seed:02}.png")
    return directory


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    painted(20).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def diagnose(bundle: Path, *more: object) -> int:
    return main(["diagnose", str(bundle), *map(str, more)])


def document(said: Captured) -> Any:
    values = json.loads(said.readouterr().out)
    jsonschema.validate(values, json.loads(SCHEMA.read_text()))
    return values


def first_cause(values: Any) -> str:
    causes = values["diagnoses"][0]["causes"]
    return str(causes[0]["cause"]) if causes else "nothing"


def save(file: Path, values: Any) -> Path:
    np.save(file, values)
    return file


def test_a_usual_picture_has_nothing_unusual(bundle: Path, picture: Path, capsys: Captured) -> None:
    assert diagnose(bundle, picture) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{picture}: red (")
    assert lines[1] == "  verdict: nothing unusual"
    assert lines[2].startswith("  executed by numpy ")
    assert "among 3 random rows: the same answer, bit for bit." in said.out
    assert "Keras: not available: affine.json is no .keras file." in said.out
    assert "reference pictures took" in said.err


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda row: row[:, :, ::-1], "color:bgr"),
        (lambda row: row * 255, "scaling:none"),
        (lambda row: row * 2 - 1, "scaling:symmetric"),
        (lambda row: (row - 0.45) / 0.31, "scaling:other"),
        (lambda row: 1 - row, "scaling:inverted"),
        (lambda row: (row - row.mean()) / row.std(), "scaling:per_image"),
        (lambda row: row.swapaxes(0, 1), "axes:transposed"),
        (lambda row: np.roll(row, 4, axis=1), "tensor:other"),
        (lambda row: row, "nothing"),
    ],
)
def test_the_callers_tensor_names_the_mistake_that_makes_it(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured, change: Any, cause: str
) -> None:
    row = change(tensor_of(painted(20)).astype(np.float64)).astype(np.float32)
    file = save(tmp_path / "row.npy", row[np.newaxis])
    assert diagnose(bundle, picture, "--tensor", file, "--json") == 0
    assert first_cause(document(capsys)) == cause


@pytest.mark.parametrize(("factor", "cause"), [(1, "nothing"), (255, "scaling:none")])
def test_a_tensor_of_one_colour_is_judged_by_that_colour(
    bundle: Path, tmp_path: Path, capsys: Captured, factor: float, cause: str
) -> None:
    plain = Image.new("RGB", (SIDE, SIDE), COLOUR)
    plain.save(tmp_path / "plain.png")
    file = save(tmp_path / "row.npy", tensor_of(plain)[np.newaxis] * np.float32(factor))
    assert diagnose(bundle, tmp_path / "plain.png", "--tensor", file, "--json") == 0
    found = document(capsys)["diagnoses"][0]["causes"]
    of_tensor = [each["cause"] for each in found if each["cause"].startswith(("scaling", "tensor"))]
    assert of_tensor[:1] == ([] if cause == "nothing" else [cause])


def scores_of(row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return 3.0 * row.reshape(-1)[:3]


def test_the_callers_scores_name_the_mistake_that_gives_them(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured
) -> None:
    row = tensor_of(painted(20))
    for name, scores, cause in (
        ("own", scores_of(row), "nothing"),
        ("raw", scores_of(row * 255), "scaling:none"),
        ("other", np.array([0.0, 3.3, 0.1]), "model:other"),
    ):
        file = save(tmp_path / f"{name}.npy", scores)
        assert diagnose(bundle, picture, "--scores", file, "--json") == 0
        assert first_cause(document(capsys)) == cause


def test_scores_may_be_probabilities_in_json(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured
) -> None:
    scores = np.exp(scores_of(tensor_of(painted(20))))
    file = tmp_path / "scores.json"
    file.write_text(json.dumps((scores / scores.sum()).tolist()))
    assert diagnose(bundle, picture, "--scores", file, "--json") == 0
    assert first_cause(document(capsys)) == "nothing"


def test_a_dark_picture_is_told_from_a_usual_one(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    painted(20, light=0.3).save(tmp_path / "dark.png")
    assert diagnose(bundle, tmp_path / "dark.png", "--json") == 0
    assert first_cause(document(capsys)) == "picture:dark"


def test_a_noisy_picture_is_told_from_a_usual_one(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    random = np.random.default_rng(3)
    noisy = np.asarray(painted(20)) + random.normal(0, 25, (SIDE, SIDE, 3))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(tmp_path / "noisy.png")
    assert diagnose(bundle, tmp_path / "noisy.png", "--json") == 0
    assert first_cause(document(capsys)) == "picture:noise"


def test_an_orientation_that_the_recipe_ignores_is_a_likely_cause(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = painted(20)
    image.putpixel((SIDE - 1, SIDE - 1), (0, 0, 255))
    image.save(tmp_path / "turned.png", exif=exif)
    assert diagnose(bundle, tmp_path / "turned.png", "--json") == 0
    assert first_cause(document(capsys)) == "orientation:ignore"


def test_a_folder_gets_a_line_each_and_a_summary(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    painted(20).save(folder / "a.png")
    painted(21, light=0.3).save(folder / "b.png")
    (folder / "c.png").write_bytes(b"no picture")
    assert diagnose(bundle, folder) == 2
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split(": ")[2:] for line in lines[:2]] == [
        ["nothing unusual"],
        ["likely cause", "the picture is too dark"],
    ]
    assert lines[2:] == [
        "2 pictures: nothing unusual with 1",
        "  1 x the picture is too dark",
        "  1 x could not be diagnosed",
    ]
    assert "c.png: the picture is of an unknown format" in said.err


def test_the_page_holds_all_it_needs_and_says_the_verdict_first(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    hostile = tmp_path / "<img src=x onerror=alert(1)>.png"
    painted(20).save(hostile)
    file = tmp_path / "page.html"
    assert diagnose(bundle, hostile, "--html", file) == 0
    capsys.readouterr()
    text = file.read_text()
    assert "<img src=x" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert text.index("nothing unusual") < text.index("<svg") < text.index("<details")
    assert text.count("data:image/png;base64,") == 6


def test_the_page_shows_hostile_names_and_labels_as_text(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    labels = [each.replace("\x00", "").replace("\x85", "") for each in HOSTILE[4:7]]
    (bundle / "labels.txt").write_text("\n".join(labels) + "\n")
    names = [each.replace("/", "\u2215").replace("\x00", "") for each in HOSTILE]
    (tmp_path / "hostile").mkdir()
    for seed, name in enumerate(names):
        painted(20 + seed).save(tmp_path / "hostile" / f"{name}.png", "PNG")
        (bundle / "samples" / f"{seed:02}.png").rename(bundle / "samples" / f"{name}.png")
    file = tmp_path / "page.html"
    diagnose(bundle, tmp_path / "hostile", "--html", file)
    capsys.readouterr()
    page = Page(file.read_text())
    assert page.faults == []
    assert all(printable(name) in page.text for name in names)


def test_the_label_says_whether_the_answer_is_right(
    bundle: Path, picture: Path, capsys: Captured
) -> None:
    assert diagnose(bundle, picture, "--label", "blue") == 0
    assert ", but it is blue" in capsys.readouterr().out.splitlines()[0]


def claiming(shape: tuple[int, ...]) -> bytes:
    """A header and none of the numbers that it speaks of."""
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("option", "content", "sentence"),
    [
        ("--tensor", npy(np.zeros((3, 3, 3), np.float32)), "expected one row of float32"),
        ("--tensor", npy(np.full((12, 12, 3), np.nan, np.float32)), "holds NaN"),
        ("--tensor", npy(np.array([{}])), "is no .npy file of numbers"),
        ("--tensor", b"", "is no .npy file of numbers"),
        ("--tensor", claiming((1 << 47,)), "is no .npy file of numbers"),
        ("--scores", claiming((1 << 20,)), "is no"),
        ("--scores", npy(np.array([1.0, np.nan, 0.0])), "holds NaN"),
        ("--scores", npy(np.array([1.0, 2.0])), "expected 3 numbers"),
        ("--scores", b'{"a": 1}', "is no JSON array of numbers"),
        ("--scores", b"[" * 100_000, "is no JSON array of numbers"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(
    bundle: Path, picture: Path, capsys: Captured, option: str, content: bytes, sentence: str
) -> None:
    file = picture.with_name("given.json" if content[:1] in b"{[" and content else "given.npy")
    file.write_bytes(content)
    assert diagnose(bundle, picture, option, file) == 2
    said = capsys.readouterr()
    assert option in said.err
    assert sentence in said.err
    assert said.out == ""


def test_an_unknown_label_and_a_missing_picture_are_wrong_usage(
    bundle: Path, picture: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert diagnose(bundle, picture, "--label", "purple") == 2
    assert 'unknown "purple", expected one of red, green, blue' in capsys.readouterr().err
    assert diagnose(bundle, tmp_path / "gone.png") == 2
    assert "gone.png: no such picture" in capsys.readouterr().err
    assert diagnose(bundle, picture, picture, "--scores", tmp_path / "s.npy") == 2
    assert "is of one picture, and there are 2" in capsys.readouterr().err
    assert diagnose(bundle, picture, "--html", tmp_path / "no" / "page.html") == 2
    assert "is no folder" in capsys.readouterr().err


def test_the_page_is_written_although_nobody_reads_the_text(
    bundle: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", MagicMock(write=gone))
    with contextlib.suppress(BrokenPipeError):
        diagnose(bundle, picture, "--html", tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text()


def test_a_model_without_a_recipe_cannot_be_diagnosed(
    tmp_path: Path, picture: Path, capsys: Captured
) -> None:
    assert diagnose(write_bundle(tmp_path / "numbers" / "1", LOGITS), picture) == 2
    assert "the bundle has no recipe" in capsys.readouterr().err


def test_few_reference_pictures_accuse_nobody(
    bundle: Path, picture: Path, capsys: Captured
) -> None:
    for file in sorted((bundle / "samples").iterdir())[1:]:
        file.unlink()
    assert diagnose(bundle, picture) == 0
    assert "Fewer than 12 reference pictures" in capsys.readouterr().out
    (bundle / "samples" / "00.png").unlink()
    assert diagnose(bundle, picture) == 0
    assert "verdict: nothing unusual" in capsys.readouterr().out
