"""What every reader of labelled pictures returns, and what it raises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

_SHOWN_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture and its class; holds no pixels.

    Attributes:
        name: for messages: a path inside the folder, or a place in the array.
        class_index: 0 or more; -1 where there are labels, or nobody knows.
        read: the encoded file; raises OSError when it cannot be read.
        labels: all that are true, ascending, where they are independent of each other; else None.
    """

    name: str
    class_index: int
    read: Callable[[], bytes]
    labels: tuple[int, ...] | None = None


class InvalidData(ValueError):
    """Labelled data that cannot be used; the text has one line for each fault, up to twenty.

    Args:
        faults: one sentence each.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        more = len(faults) - _SHOWN_FAULTS
        shown = [*faults[:_SHOWN_FAULTS], *([f"and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(shown))
        self.faults = tuple(faults)


def truth_of(
    pictures: Sequence[LabelledPicture], classes: int, *, is_multi_label: bool = False
) -> Array:
    """What the pictures really are, of a model with so many classes.

    Returns:
        int64 [pictures]; of independent labels bool [pictures, labels].

    Raises:
        InvalidData: with one line for each picture that is of none of them.
    """
    faults = [
        f"{picture.name}: class {index}, expected 0 to {classes - 1}"
        for picture in pictures
        for index in (picture.labels or (max(picture.class_index, 0),))
        if not 0 <= index < classes
    ]
    if any((picture.labels is not None) != is_multi_label for picture in pictures):
        faults = [_NO_SETS if is_multi_label else _NO_CLASSES]
    if faults:
        raise InvalidData(faults)
    if not is_multi_label:
        return np.array([picture.class_index for picture in pictures])
    truth = np.zeros((len(pictures), classes), bool)
    for row, picture in zip(truth, pictures, strict=True):
        row[list(picture.labels or ())] = True
    return truth


_NO_CLASSES: Final = (
    "the pictures have sets of labels, and the model has classes that exclude each other; expected "
    "a folder for each class, or a CSV file with the columns file,label"
)
_NO_SETS: Final = (
    "the pictures have one class each, and the model has independent labels; expected a CSV file "
    "with the columns file,labels (with | between them) or a column for each label, or an .npz "
    "file whose labels are [pictures, labels]"
)
