"""How fast a process grows: least squares over its samples, once it is warm."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_HOUR_S: Final = 3600.0


@dataclass(frozen=True)
class Sample:
    """What a process held at one moment.

    Attributes:
        at_s: since the beginning.
    """

    at_s: float
    memory_mb: float
    descriptors: float
    threads: float


QUANTITIES: Final = ("memory_mb", "descriptors", "threads")


def after(samples: Sequence[Sample], warm_up_s: float) -> Sequence[Sample]:
    """Those from the end of the warm-up on."""
    return [each for each in samples if each.at_s >= warm_up_s]


def slopes_per_hour(samples: Sequence[Sample]) -> Mapping[str, float]:
    """The growth of each quantity in an hour, as the line through the samples has it.

    Raises:
        ValueError: there are fewer than two moments.
    """
    if len({each.at_s for each in samples}) < 2:  # noqa: PLR2004 - of a line
        raise ValueError(f"{len(samples)} samples, expected 2 or more at different moments")
    times_s = [each.at_s for each in samples]
    return {
        name: _HOUR_S
        * statistics.linear_regression(times_s, [getattr(each, name) for each in samples]).slope
        for name in QUANTITIES
    }
