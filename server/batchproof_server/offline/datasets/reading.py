"""Finds the reader for labelled data by what lies at its path."""

from collections.abc import Sequence
from pathlib import Path

from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.offline.datasets.folder import read_folder
from batchproof_server.offline.datasets.npz import read_npz
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.datasets.table import read_table


def read_labelled(
    path: Path, labels: Sequence[str], limits: ImageLimits
) -> tuple[LabelledPicture, ...]:
    """The labelled pictures of a folder, of a CSV file or of an ``.npz`` file.

    Args:
        path: a folder with one folder for each class, a ``.csv`` or an ``.npz`` file.
        labels: of the classes in their order; empty when the bundle names none.
        limits: on bytes and pixels of a picture.

    Raises:
        InvalidData: see ``read_folder``, ``read_table`` and ``read_npz``; or there is none.
    """
    if path.is_dir():
        return read_folder(path, labels, limits.max_image_bytes)
    if path.suffix == ".npz" and path.is_file():
        return read_npz(path, labels, limits)
    if path.suffix == ".csv" and path.is_file():
        return read_table(path, labels, limits.max_image_bytes)
    came = "no such file or folder" if not path.exists() else "neither"
    expected = "a folder of classes, a .csv or an .npz file"
    raise InvalidData([f"{path}: {came}, expected {expected}"])
