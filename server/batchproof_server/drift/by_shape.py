"""Arrays of equal shapes measured together, so that numpy has more to do at a time."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array

_MAX_NUMBERS_AT_ONCE: Final = 1 << 15  # they stay in the processor's cache

Measure: TypeAlias = Callable[[Array], Array]


def measured(arrays: Sequence[Array], figures: int, measure: Measure) -> Array:
    """Some figures of each array: float64 [arrays, figures]. One's do not depend on the others.

    Args:
        arrays: of whole numbers, each of its own shape.
        figures: how many there are of one.
        measure: from int16 [some arrays, ...] of one shape to [some arrays, figures].
    """
    found = np.zeros((len(arrays), figures))
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, array in enumerate(arrays):
        by_shape.setdefault(array.shape, []).append(place)
    for shape, places in by_shape.items():
        size = max(1, _MAX_NUMBERS_AT_ONCE // int(np.prod(shape)))
        for start in range(0, len(places), size):
            chosen = places[start : start + size]
            found[chosen] = measure(np.stack([arrays[each] for each in chosen]).astype(np.int16))
    return found
