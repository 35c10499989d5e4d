"""Folders of classes: what they may be called, and what is refused."""

from pathlib import Path

import pytest

from batchproof_server.base.spread import spread
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.offline.datasets.folder import class_names, read_folder
from batchproof_server.offline.datasets.pictures import InvalidData, truth_of
from batchproof_server.offline.datasets.reading import read_labelled

LABELS = ("T-shirt/top", "Trouser", "Ankle boot")


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_a_folder_is_named_by_label_or_by_index(tmp_path: Path) -> None:
    write(tmp_path, "Trouser/b.png", "t-shirt-top/a.png", "2/c.png", "Trouser/a.png")
    pictures = read_folder(tmp_path, LABELS, 100)
    assert [(each.name, each.class_index) for each in pictures] == [
        ("t-shirt-top/a.png", 0),
        ("Trouser/a.png", 1),
        ("Trouser/b.png", 1),
        ("2/c.png", 2),
    ]
    assert [each.read() for each in pictures] == [each.name.encode() for each in pictures]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("Ankle boot", 2),
        ("ankle_boot", 2),
        ("T-shirt top", 0),
        ("0", 0),
        ("02", 2),
        ("3", None),
        ("boot", None),
        ("-1", None),
        ("\u0662", None),
    ],
)
def test_the_class_of_a_folder(name: str, index: int | None) -> None:
    assert class_names(LABELS).index_of(name) == index


def test_a_label_wins_over_an_index_and_an_unclear_name_is_none() -> None:
    assert class_names(("1", "0")).index_of("0") == 1
    assert class_names(("a b", "a-b")).index_of("a_b") is None
    assert class_names(("a b", "a-b")).index_of("a-b") == 1
    assert class_names(("a b", "a-b")).index_of("0") == 0


def test_without_labels_a_folder_is_an_index_of_any_size(tmp_path: Path) -> None:
    (picture,) = read_folder(write(tmp_path, "999/a.png"), (), 100)
    assert picture.class_index == 999
    with pytest.raises(InvalidData, match=r"999/a\.png: class 999, expected 0 to 9"):
        truth_of([picture], 10)
    truth_of([picture], 1000)


def test_pictures_lie_at_any_depth_and_hidden_ones_nowhere(tmp_path: Path) -> None:
    write(tmp_path, "0/x/y.png", "0/.hidden/y.png", "0/.y.png", ".git/z.png", "README")
    assert [each.name for each in read_folder(tmp_path, LABELS, 100)] == ["0/x/y.png"]


def test_every_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    write(tmp_path, "Trouser/a.png", "Hat/a.png", "7/a.png")
    with pytest.raises(InvalidData) as invalid:
        read_folder(tmp_path, LABELS, 100)
    expected = "no such class, expected one of T-shirt/top, Trouser, Ankle boot, or 0 to 2"
    assert str(invalid.value).splitlines() == [f"7: {expected}", f"Hat: {expected}"]
    with pytest.raises(InvalidData, match="the bundle names no labels"):
        read_folder(tmp_path, (), 100)


def test_no_folder_no_picture_and_no_directory_are_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="holds no folder"):
        read_folder(write(tmp_path, "a.png"), LABELS, 100)
    (tmp_path / "0").mkdir()
    with pytest.raises(InvalidData, match="holds no picture"):
        read_folder(tmp_path, LABELS, 100)
    with pytest.raises(InvalidData, match="cannot be read"):
        read_folder(tmp_path / "absent", LABELS, 100)


def test_the_reader_is_chosen_by_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, "data/0/a.png", "a.txt")
    assert len(read_labelled(tmp_path / "data", LABELS, ImageLimits())) == 1
    with pytest.raises(InvalidData, match="no such file or folder"):
        read_labelled(tmp_path / "x.npz", LABELS, ImageLimits())
    with pytest.raises(InvalidData, match=r"expected a folder of classes, a .csv or an .npz file"):
        read_labelled(tmp_path / "a.txt", LABELS, ImageLimits())


def test_one_byte_more_than_allowed_is_read_of_a_file(tmp_path: Path) -> None:
    (picture,) = read_folder(write(tmp_path, "0/a.png"), LABELS, 3)
    assert picture.read() == b"0/a."


def test_a_limit_takes_pictures_evenly_and_in_order(tmp_path: Path) -> None:
    names = [f"{label}/{number}.png" for label in (0, 1) for number in range(10)]
    pictures = read_folder(write(tmp_path, *names), LABELS, 100)
    taken = spread(pictures, 4)
    assert [each.name for each in taken] == ["0/0.png", "0/5.png", "1/0.png", "1/5.png"]
    assert spread(pictures, None) == spread(pictures, 99) == pictures


def test_many_faults_are_cut_and_counted() -> None:
    invalid = InvalidData([f"fault {number}" for number in range(25)])
    assert len(str(invalid).splitlines()) == 21
    assert str(invalid).endswith("\nand 5 more")
    assert len(invalid.faults) == 25
