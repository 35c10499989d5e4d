"""The pictures: written, readable, the same twice, and never in the way of a label."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from batchproof_server.offline.evaluation import plots
from unit.offline.evaluation.results import evaluation


@pytest.mark.parametrize(
    "labels",
    [
        ("cat", "dog"),
        tuple(f"a rather long name of class {number}" for number in range(26)),
        tuple(map(str, range(61))),
        ("$\\frac$", "\u732b"),
    ],
)
def test_both_pictures_are_drawn_for_any_number_of_classes_and_any_label(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    files = plots.draw(evaluation(labels=labels, pictures=20_000), tmp_path)
    assert [file.name for file in files] == ["confusion.png", "reliability.png"]
    for file in files:
        with Image.open(file) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 300
            assert len(set(picture.convert("L").resize((50, 50)).tobytes())) > 10


def test_the_same_evaluation_is_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        contents.append([f.read_bytes() for f in plots.draw(evaluation(), tmp_path / name)])
    assert contents[0] == contents[1]


def test_matplotlib_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plots.is_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert not plots.is_installed()
    assert ".[plots]" in plots.MISSING
