"""What every reader of labelled pictures returns, and what it raises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_SHOWN_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture and its class; holds no pixels.

    Attributes:
        name: for messages: a path inside the folder, or a place in the array.
        class_index: 0 or more.
        read: the encoded file; raises OSError when it cannot be read.
    """

    name: str
    class_index: int
    read: Callable[[], bytes]


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


def check_classes(pictures: Sequence[LabelledPicture], classes: int) -> None:
    """Returns when every picture is of one of ``classes`` classes.

    Raises:
        InvalidData: with one line for each picture that is not.
    """
    faults = [
        f"{picture.name}: class {picture.class_index}, expected 0 to {classes - 1}"
        for picture in pictures
        if not 0 <= picture.class_index < classes
    ]
    if faults:
        raise InvalidData(faults)
