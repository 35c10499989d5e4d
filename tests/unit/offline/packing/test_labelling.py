"""Where labels are from, and in which order."""

from pathlib import Path

import pytest

from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.packing.labelling import (
    check_count,
    commonest_share,
    labels_in,
    labels_of_data,
)


def folders(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).mkdir()
    return top


def test_folders_are_sorted_as_keras_does_and_that_is_a_guess(tmp_path: Path) -> None:
    found = labels_of_data(folders(tmp_path, "dog", "Cat", "ape", ".git"))
    assert found.labels == ("Cat", "ape", "dog")
    assert found.is_guessed


def test_folders_of_numbers_are_the_numbers_of_classes(tmp_path: Path) -> None:
    found = labels_of_data(folders(tmp_path, "0", "10", "2"))
    assert found.labels == ()
    assert not found.is_guessed


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("file,label\na.png,dog\nb.png,cat\n", ("cat", "dog")),
        ("file,labels\na.png,dog|cat\nb.png,\n", ("cat", "dog")),
        ("file,dog,cat\na.png,1,0\n", ("dog", "cat")),
        ("file,label\na.png,3\nb.png,1\n", ()),
    ],
    ids=["one", "several", "columns", "numbers"],
)
def test_a_table_names_labels_in_its_cells_or_its_heading(
    text: str, labels: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "truth.csv").write_text(text)
    assert labels_of_data(tmp_path / "truth.csv").labels == labels


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "holds no picture"), (b"file,label\n", "holds no picture"), (b"a\xff,b", "as CSV")],
    ids=["empty", "heading alone", "no text"],
)
def test_a_table_that_is_none_is_refused_in_words(
    content: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / "truth.csv").write_bytes(content)
    with pytest.raises(InvalidData, match=says):
        labels_of_data(tmp_path / "truth.csv")


def test_a_table_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "truth.csv").open("wb") as file:
        file.write(b"file,label\n")
        file.truncate(1 << 30)
    with pytest.raises(InvalidData, match="cannot be read as CSV"):
        labels_of_data(tmp_path / "truth.csv")


def test_a_file_has_one_label_a_line(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("cat\n\n dog \n")
    found = labels_in(file)
    assert found.labels == ("cat", "dog")
    assert found.summary == "cat, dog: the lines of labels.txt"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xff"], ids=["empty", "no text"])
def test_a_file_without_labels_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(InvalidData, match=r"labels\.txt: "):
        labels_in(tmp_path / "labels.txt")
    with pytest.raises(InvalidData, match="cannot be read"):
        labels_in(tmp_path / "none.txt")


def test_too_few_labels_say_what_helps(tmp_path: Path) -> None:
    found = labels_of_data(folders(tmp_path, "cat", "dog"))
    check_count(found, 2, "the output")
    with pytest.raises(InvalidData, match=r"2 labels .* has 3 classes; .* --labels FILE"):
        check_count(found, 3, "the output")


def test_the_commonest_class_is_counted_and_sets_of_labels_as_sets() -> None:
    def picture(index: int, labels: tuple[int, ...] | None = None) -> LabelledPicture:
        return LabelledPicture("x", index, bytes, labels)

    assert commonest_share([picture(0), picture(1), picture(1), picture(2)]) == 0.5
    assert commonest_share([picture(-1, (0, 1)), picture(-1, ()), picture(-1, (0,))]) == 1 / 3
