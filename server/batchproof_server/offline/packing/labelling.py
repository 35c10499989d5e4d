"""The labels of a model, from a file or from the data that belong to it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof_server.base.files import TooLarge, read_text, reason_of
from batchproof_server.models.bundle import MAX_TEXT_BYTES
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.datasets.table import read_lines

NAME_THEM: Final = "name all labels with --labels FILE, one a line, in the order of the output"

_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class FoundLabels:
    """The labels of the classes.

    Attributes:
        labels: in the order of the output; empty where classes are called by their number.
        is_guessed: whether nobody said that order.
        reason: where they are from.
    """

    labels: tuple[str, ...]
    is_guessed: bool
    reason: str

    @property
    def summary(self) -> str:
        """The first of them, and where they are from."""
        shown = ", ".join(self.labels[:_SHOWN])
        more = len(self.labels) - _SHOWN
        return f"{shown}{f' and {more} more' if more > 0 else ''}: {self.reason}"


def labels_in(file: Path) -> FoundLabels:
    """The labels of a file with one a line.

    Raises:
        InvalidData: it cannot be read, or holds none.
    """
    try:
        lines = read_text(file, MAX_TEXT_BYTES).splitlines()
    except OSError as fault:
        raise InvalidData([f"{file}: cannot be read ({reason_of(fault)})"]) from fault
    except (TooLarge, UnicodeDecodeError) as fault:
        raise InvalidData([f"{file}: expected UTF-8 text with one label a line"]) from fault
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise InvalidData([f"{file}: holds no label, expected one a line"])
    return FoundLabels(labels, is_guessed=False, reason=f"the lines of {file.name}")


def labels_of_data(data: Path) -> FoundLabels:
    """The labels that labelled data name.

    Args:
        data: as ``read_labelled`` takes it.

    Raises:
        InvalidData: it cannot be read.
    """
    try:
        if data.is_dir():
            return _of_folders(data)
        if data.suffix == ".csv":
            return _of_table(data)
    except OSError as fault:
        raise InvalidData([f"{data}: cannot be read: {fault}"]) from fault
    return FoundLabels((), is_guessed=False, reason=f"{data.name} has numbers, no names")


def _of_folders(data: Path) -> FoundLabels:
    folders = (each for each in data.iterdir() if each.is_dir() and not each.name.startswith("."))
    names = sorted(folder.name for folder in folders)
    if all(map(_is_number, names)):
        return FoundLabels((), is_guessed=False, reason="the folders are numbers of classes")
    reason = "the folders, sorted as Keras' image_dataset_from_directory numbers them"
    return FoundLabels(tuple(names), is_guessed=True, reason=reason)


def _of_table(data: Path) -> FoundLabels:
    heading, *rows = read_lines(data)
    titles = [each.strip() for each in heading[1:]]
    if [each.lower() for each in titles] not in (["label"], ["labels"]):
        return FoundLabels(tuple(titles), is_guessed=True, reason=f"the columns of {data.name}")
    cells = [part.strip() for row in rows for cell in row[1:] for part in cell.split("|")]
    names = sorted({each for each in cells if each})
    if all(map(_is_number, names)):
        return FoundLabels((), is_guessed=False, reason="the labels are numbers of classes")
    return FoundLabels(tuple(names), is_guessed=True, reason=f"the labels of {data.name}, sorted")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def check_count(found: FoundLabels, classes: int, where: str) -> None:
    """Returns when there is a label for each class, or none at all.

    Args:
        found: the labels.
        classes: that the model gives scores of.
        where: of the output.

    Raises:
        InvalidData: there are more or fewer.
    """
    if found.labels and len(found.labels) != classes:
        came = f"{len(found.labels)} labels ({found.reason}), and {where} has {classes} classes"
        raise InvalidData([f"{came}; {NAME_THEM}"])


def commonest_share(pictures: Sequence[LabelledPicture]) -> float:
    """The share of the pictures that are of the commonest class, or have the commonest set.

    Args:
        pictures: one or more.
    """
    counted = Counter(each.labels or (each.class_index,) for each in pictures)
    return max(counted.values()) / len(pictures)
