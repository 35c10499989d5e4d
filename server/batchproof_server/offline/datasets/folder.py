"""Reads ``<class>/<pictures>``: one folder for each class, named by its label or its index."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batchproof_server.base.files import read_start
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture


def read_folder(
    folder: Path, labels: Sequence[str], max_image_bytes: int
) -> tuple[LabelledPicture, ...]:
    """Every file below the folders of the classes, sorted by class and path.

    A folder is named exactly as the label; or as the label is written where a path allows no other
    (case and everything but letters and digits do not count: ``t-shirt-top`` is ``T-shirt/top``);
    or by the index of the class in decimal. Hidden files and folders are passed over.

    Args:
        folder: whose folders are the classes.
        labels: of the classes in their order; empty when the bundle names none.
        max_image_bytes: of a file, one byte more is read at most.

    Raises:
        InvalidData: no folder of a class, one that is no class, or no picture.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if _visible(path))
        names = class_names(labels)
        known = {path: names.index_of(path.name) for path in inside if path.is_dir()}
        _check_folders(folder, known, labels)
        pictures = tuple(
            LabelledPicture(
                str(file.relative_to(folder)), index, partial(read_start, file, max_image_bytes)
            )
            for path, index in sorted(known.items(), key=lambda item: (item[1], item[0]))
            if index is not None
            for file in visible_files(path)
        )
    except OSError as fault:
        raise InvalidData([f"{folder}: cannot be read ({fault.strerror})"]) from fault
    if not pictures:
        raise InvalidData([f"{folder}: holds no picture, expected <class>/<pictures>"])
    return pictures


@dataclass(frozen=True, slots=True)
class ClassNames:
    """What folders of classes may be called. Made by ``class_names``.

    Attributes:
        exact: class by label.
        plain: class by the plain form of its label, where that is of one label only.
        count: how many classes there are; None when the bundle names no labels.
    """

    exact: Mapping[str, int]
    plain: Mapping[str, int]
    count: int | None

    def index_of(self, name: str) -> int | None:
        """The class that a folder's name stands for, or None."""
        found = self.exact.get(name, self.plain.get(_plain(name)))
        if found is not None or not (name.isascii() and name.isdigit()):
            return found
        return int(name) if self.count is None or int(name) < self.count else None


def class_names(labels: Sequence[str]) -> ClassNames:
    """The names for the classes with these labels; indices only when there are none."""
    plain = [_plain(label) for label in labels]
    counted = Counter(plain)
    return ClassNames(
        exact={label: index for index, label in enumerate(labels)},
        plain={name: index for index, name in enumerate(plain) if name and counted[name] == 1},
        count=len(labels) or None,
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-")


def _check_folders(folder: Path, known: Mapping[Path, int | None], labels: Sequence[str]) -> None:
    if not known:
        raise InvalidData([f"{folder}: holds no folder, expected one for each class"])
    expected = f"one of {', '.join(labels)}, or 0 to {len(labels) - 1}"
    faults = [
        f"{path.name}: no such class, expected "
        f"{expected if labels else 'an index: the bundle names no labels'}"
        for path, index in known.items()
        if index is None
    ]
    if faults:
        raise InvalidData(faults)


def visible_files(folder: Path) -> Iterator[Path]:
    """Every file at any depth, sorted; hidden files and folders are passed over."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and all(_named_visibly(part) for part in path.relative_to(folder).parts):
            yield path


def _visible(path: Path) -> bool:
    return _named_visibly(path.name)


def _named_visibly(name: str) -> bool:
    return not name.startswith(".")
