"""A CSV file of pictures and labels: what it may look like, and what is said of every other."""

from pathlib import Path

import numpy as np
import pytest

from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture, truth_of
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.datasets.table import read_table

LABELS = ("cat", "black dog", "bird")


def read(folder: Path, text: str, labels: tuple[str, ...] = LABELS) -> tuple[LabelledPicture, ...]:
    for name in ("a.png", "sub/b.png", "c.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    file = folder / "labels.csv"
    file.write_text(text)
    return read_labelled(file, labels, ImageLimits())


def truth(pictures: tuple[LabelledPicture, ...]) -> list[list[int]]:
    found = truth_of(pictures, len(LABELS), is_multi_label=True)
    return [np.flatnonzero(row).tolist() for row in found]


def test_labels_stand_in_one_column_with_bars_between(tmp_path: Path) -> None:
    text = "file,labels\na.png,cat|black dog\nsub/b.png,\nc.png, bird | cat |bird\n"
    pictures = read(tmp_path, text)
    assert truth(pictures) == [[0, 1], [], [0, 2]]
    assert [picture.name for picture in pictures] == ["a.png", "sub/b.png", "c.png"]
    assert pictures[1].read() == b"sub/b.png"


def test_or_each_label_has_a_column(tmp_path: Path) -> None:
    text = "image,bird,cat,black dog\na.png,0,1,1\nsub/b.png,-1,-1,-1\nc.png,True,1.0,false\n"
    assert truth(read(tmp_path, text)) == [[0, 1], [], [0, 2]]


def test_a_single_class_has_a_column_too(tmp_path: Path) -> None:
    pictures = read(tmp_path, "file,label\na.png,bird\nc.png,1\n")
    assert truth_of(pictures, 3).tolist() == [2, 1]


def test_without_labels_indices_are_read(tmp_path: Path) -> None:
    assert truth(read(tmp_path, "file,labels\na.png,2|0\n", ())) == [[0, 2]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no picture"),
        ("file,labels\n", "holds no picture"),
        ("file\na.png\n", "one column, expected the file and its labels"),
        ("file,colour\na.png,red\n", 'column "colour" is no label of the model'),
        ("file,labels\na.png,cat bird\n", 'line 2: "cat bird" is no label'),
        ("file,labels\na.png,cat bird\n", "put | between several labels"),
        ("file,labels\na.png\n", "line 2: has 1 cells, expected 2"),
        ("file,labels\nx.png,cat\n", 'line 2: "x.png": no such file'),
        ("file,labels\n../a.png,cat\n", "leads out of the folder"),
        ("file,labels\n/etc/passwd,cat\n", "leads out of the folder"),
        ("file,cat\na.png,2\n", 'line 2: "2" in column 2, expected 1 or 0'),
        ('file,labels\n"a.png,cat\n', "cannot be read as CSV"),
    ],
)
def test_every_other_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidData) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    with pytest.raises(InvalidData, match="cannot be read as CSV: more than 67108864 bytes"):
        read_table(tmp_path / "endless.csv", LABELS, 1000)


def test_sets_and_classes_are_told_apart(tmp_path: Path) -> None:
    sets = read(tmp_path, "file,labels\na.png,cat\n")
    classes = read(tmp_path, "file,label\na.png,cat\n")
    with pytest.raises(InvalidData, match="the pictures have sets of labels"):
        truth_of(sets, 3)
    with pytest.raises(InvalidData, match="the pictures have one class each"):
        truth_of(classes, 3, is_multi_label=True)
    with pytest.raises(InvalidData, match="class 2, expected 0 to 1"):
        truth_of(read(tmp_path, "file,labels\na.png,bird\n"), 2, is_multi_label=True)


def test_an_npz_file_may_hold_a_column_for_each_label(tmp_path: Path) -> None:
    images = np.zeros((2, 4, 4), np.uint8)
    file = tmp_path / "data.npz"
    np.savez(file, images=images, labels=np.array([[1, 0, 1], [0, 0, 0]], bool))
    assert truth(read_labelled(file, LABELS, ImageLimits())) == [[0, 2], []]
    np.savez(file, images=images, labels=np.array([[2, 0, 1], [0, 0, 0]]))
    with pytest.raises(InvalidData, match="more than 0 and 1"):
        read_labelled(file, LABELS, ImageLimits())
