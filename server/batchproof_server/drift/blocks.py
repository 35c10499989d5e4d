"""How much the blocks of a JPEG show."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.drift.by_shape import measured

BLOCK_SIGNALS: Final = ("blockiness",)

_GRID_PIXELS: Final = 8
_DOUBT_LEVELS: Final = 0.1
"""Of a flat picture both means are 0, and so nothing is between the blocks."""


def blockiness(middles: Sequence[Array]) -> Array:
    """The steps between blocks over the steps inside of them: float64 [pictures, 1].

    The mean absolute difference of neighbours on both sides of a line of the grid of 8 x 8 pixels,
    over that of all other neighbours, both plus a tenth of a level: the ratio of Wu and Yuen 1997,
    "A generalized block-edge impairment metric for video coding", without their weights. It is
    about 1 without blocks, and of a picture that no line of the grid crosses.

    Args:
        middles: uint8 [height, width], the first pixel on a corner of the grid.
    """
    return measured(middles, len(BLOCK_SIGNALS), _blockiness)


def _blockiness(levels: Array) -> Array:
    across = np.abs(levels[:, :, 1:] - levels[:, :, :-1])
    down = np.abs(levels[:, 1:] - levels[:, :-1])
    lines = (
        across[:, :, _GRID_PIXELS - 1 :: _GRID_PIXELS],
        down[:, _GRID_PIXELS - 1 :: _GRID_PIXELS],
    )
    on_lines = lines[0][0].size + lines[1][0].size
    if not on_lines:
        return np.ones((len(levels), 1))
    others = across[0].size + down[0].size - on_lines
    between = _total(lines[0]) + _total(lines[1])
    inside = _total(across) + _total(down) - between
    ratio: Array = (between / on_lines + _DOUBT_LEVELS) / (inside / others + _DOUBT_LEVELS)
    return ratio.reshape(-1, 1)


def _total(steps: Array) -> Array:
    total: Array = steps.sum(axis=(1, 2), dtype=np.int64)
    return total
