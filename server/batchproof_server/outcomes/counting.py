"""How outcomes are grouped into series: classes into bins, confidences into bins. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MAX_CLASS_BINS: Final = 20
"""The largest classes have a bin each; what is left of more of them shares the last one."""
CONFIDENCE_BINS: Final = 10
"""Of equal width, from 0 to 1."""
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class ClassBins:
    """Which bin a class is counted in.

    Attributes:
        labels: of each bin; the last may be ``other``.
        bins: class to bin; a class that is not named belongs to the last bin.
    """

    labels: tuple[str, ...]
    bins: Mapping[int, int]

    def bin_of(self, class_index: int) -> int:
        """The bin of a class."""
        return self.bins.get(class_index, len(self.labels) - 1)


def class_bins(labels: Sequence[str], largest_first: Sequence[int] = ()) -> ClassBins:
    """Groups classes.

    Args:
        labels: of every class.
        largest_first: the classes by their share of the reference; without it the order of the
            classes decides.
    """
    order = list(largest_first) or list(range(len(labels)))
    if len(labels) <= MAX_CLASS_BINS:
        return ClassBins(tuple(labels), {each: each for each in range(len(labels))})
    own = order[: MAX_CLASS_BINS - 1]
    named = tuple(labels[each] for each in own)
    return ClassBins((*named, OTHER), {each: place for place, each in enumerate(own)})


def confidence_bin(confidence: float) -> int:
    """The bin of a confidence; 1 belongs to the last."""
    return min(CONFIDENCE_BINS - 1, int(confidence * CONFIDENCE_BINS))
