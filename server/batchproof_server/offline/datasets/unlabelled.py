"""Pictures of which nobody says what they are: a folder of any shape, or labelled data."""

from collections.abc import Sequence
from pathlib import Path

from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.offline.datasets.folder import read_unlabelled
from batchproof_server.offline.datasets.pictures import LabelledPicture
from batchproof_server.offline.datasets.reading import read_labelled


def read_pictures(
    path: Path, labels: Sequence[str], limits: ImageLimits
) -> tuple[LabelledPicture, ...]:
    """Every file below a folder, whatever its folders are called; or what ``read_labelled`` reads.

    Args:
        path: a folder, a ``.csv`` or an ``.npz`` file.
        labels: of the classes in their order; empty when the bundle names none.
        limits: on bytes and pixels of a picture.

    Raises:
        InvalidData: it cannot be read, or there is no picture.
    """
    if not path.is_dir():
        return read_labelled(path, labels, limits)
    return read_unlabelled(path, limits.max_image_bytes)
