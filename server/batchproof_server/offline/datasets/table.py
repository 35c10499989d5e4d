"""Reads a CSV file that names pictures and their labels, as people have them for several labels.

A heading, and the file of a picture in the first column, inside the folder of the CSV file. Then
one of::

    file,label                 one class
    file,labels                labels with | between, none where the cell is empty
    file,cat,dog,...           a column for each label, with 1 where it is true, else 0 or -1
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from batchproof_server.base.errors import cut
from batchproof_server.base.files import TooLarge, read_start, read_text
from batchproof_server.offline.datasets.folder import ClassNames, class_names
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture

_TRUE: Final = frozenset({"1", "1.0", "true"})
_FALSE: Final = frozenset({"0", "0.0", "-1", "-1.0", "false", ""})
_FEWEST_COLUMNS: Final = 2
_MAX_CELL: Final = 1 << 16
# A million lines, and more.
_MAX_TABLE_BYTES: Final = 1 << 26

_ReadTruth: TypeAlias = Callable[[Sequence[str]], tuple[int, ...]]


def read_lines(file: Path) -> list[list[str]]:
    """The cells of each line of a table, of which the first is the heading.

    Args:
        file: UTF-8, with commas.

    Raises:
        InvalidData: it is no such file, too large, or has no line below the heading.
    """
    try:
        text = read_text(file, _MAX_TABLE_BYTES)
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, TooLarge, UnicodeDecodeError, csv.Error) as fault:
        raise InvalidData([f"{file}: cannot be read as CSV: {fault}"]) from fault
    if len(lines) < _FEWEST_COLUMNS:
        raise InvalidData([f"{file}: holds no picture, expected a heading and a line for each"])
    return lines


def read_table(
    file: Path, labels: Sequence[str], max_image_bytes: int
) -> tuple[LabelledPicture, ...]:
    """The pictures in the file's order.

    Args:
        file: UTF-8, with commas.
        labels: of the classes in their order; empty when the bundle names none.
        max_image_bytes: of a file, one byte more is read at most.

    Raises:
        InvalidData: it is no such file, or a line has a fault; one line for each.
    """
    heading, *rest = read_lines(file)
    read = _reader(file, heading, class_names(labels))
    is_single = [each.strip().lower() for each in heading[1:]] == ["label"]
    faults: list[str] = []
    pictures: list[LabelledPicture] = []
    for number, cells in enumerate(rest, start=2):
        if not cells:
            continue
        try:
            path = _inside(file.parent, cells, len(heading))
            truth = read(cells[1:])
        except ValueError as fault:
            faults.append(f"{file}: line {number}: {fault}")
            continue
        read_file = partial(read_start, path, max_image_bytes)
        if is_single:
            pictures.append(LabelledPicture(cells[0], truth[0], read_file))
        else:
            pictures.append(LabelledPicture(cells[0], -1, read_file, truth))
    if faults:
        raise InvalidData(faults)
    return tuple(pictures)


def _inside(folder: Path, cells: Sequence[str], columns: int) -> Path:
    if len(cells) != columns:
        raise ValueError(f"has {len(cells)} cells, expected {columns}")
    path = (folder / cells[0]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f'"{cut(cells[0])}" leads out of the folder of the CSV file')
    if not path.is_file():
        raise ValueError(f'"{cut(cells[0])}": no such file in the folder of the CSV file')
    return path


def _reader(file: Path, heading: Sequence[str], names: ClassNames) -> _ReadTruth:
    """What makes class indices of the cells after the first."""
    titles = [each.strip() for each in heading[1:]]
    if not titles:
        raise InvalidData([f"{file}: one column, expected the file and its labels"])
    if [each.lower() for each in titles] == ["label"]:
        return partial(_one, names)
    if [each.lower() for each in titles] == ["labels"]:
        return partial(_several, names)
    columns = {place: names.index_of(title) for place, title in enumerate(titles)}
    unknown = [titles[place] for place, index in columns.items() if index is None]
    if unknown:
        expected = '"label", "labels", or a column for each label'
        came = f'column "{cut(unknown[0])}" is no label of the model'
        raise InvalidData([f"{file}: {came}, expected {expected}"])
    known = {place: index for place, index in columns.items() if index is not None}
    return partial(_columns, known)


def _one(names: ClassNames, cells: Sequence[str]) -> tuple[int, ...]:
    return (_index(names, cells[0]),)


def _several(names: ClassNames, cells: Sequence[str]) -> tuple[int, ...]:
    cell = cells[0][:_MAX_CELL]
    parts = [part.strip() for part in cell.split("|")]
    return tuple(sorted({_index(names, part) for part in parts if part}))


def _columns(indices: Mapping[int, int], cells: Sequence[str]) -> tuple[int, ...]:
    return tuple(sorted(_set(indices, cells)))


def _set(indices: Mapping[int, int], cells: Sequence[str]) -> Iterator[int]:
    for place, index in indices.items():
        value = cells[place].strip().lower()
        if value in _TRUE:
            yield index
        elif value not in _FALSE:
            raise ValueError(f'"{cut(cells[place])}" in column {place + 2}, expected 1 or 0')


def _index(names: ClassNames, text: str) -> int:
    found = names.index_of(text.strip())
    if found is None:
        known = ", ".join(list(names.exact)[:20]) or "an index: the bundle names no labels"
        more = "; put | between several labels" if not text.strip().isalnum() else ""
        raise ValueError(f'"{cut(text)}" is no label, expected one of {known}{more}')
    return found
