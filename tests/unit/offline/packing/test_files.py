"""A bundle is there whole, or not at all."""

import io
from pathlib import Path

import pytest
from PIL import Image

from batchproof_server.backends.plug_list import artefact_kinds
from batchproof_server.base.errors import ModelRefused
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.packing.files import (
    bring_artefact,
    write_samples,
    written_beside,
)

SAVED_MODEL = next(kind for kind in artefact_kinds() if kind.name == "saved_model")


def everything(top: Path) -> list[str]:
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*"))


def test_what_was_written_is_there_when_the_context_has_ended(tmp_path: Path) -> None:
    with written_beside(tmp_path / "models" / "mine" / "1") as fresh:
        (fresh / "x").write_text("x")
        assert not (tmp_path / "models").exists()
    assert everything(tmp_path) == ["models", "models/mine", "models/mine/1", "models/mine/1/x"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_what_was_interrupted_leaves_nothing(
    interruption: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(interruption):  # noqa: SIM117 - what raises stands by itself
        with written_beside(tmp_path / "models" / "mine" / "1"):
            raise interruption
    assert everything(tmp_path) == []


def test_a_directory_that_came_meanwhile_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "1"
    with pytest.raises(FileExistsError), written_beside(out):
        out.mkdir()
    assert everything(tmp_path) == ["1"]


def test_a_link_that_leads_out_of_a_model_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    model = tmp_path / "model"
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"")
    (model / "variables" / "x").symlink_to(tmp_path / "secret")
    (tmp_path / "bundle").mkdir()
    with pytest.raises(ModelRefused):
        bring_artefact(SAVED_MODEL, model, tmp_path / "bundle")
    assert everything(tmp_path / "bundle") == []


def test_samples_are_of_all_classes_and_named_by_them(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    pictures = [LabelledPicture("x", number % 2, file.getvalue) for number in range(60)]
    pictures += [LabelledPicture("no picture", 2, lambda: b"text")]
    assert write_samples(tmp_path, pictures, ["T-shirt/top", "../Bag"]) == 20
    names = [path.name for path in sorted((tmp_path / "samples").iterdir())]
    assert names[0] == "00-t-shirt-top.png"
    assert names[-1] == "19-bag.png"
