"""What pictures look like at the model's size, and how alike they are; no model is asked."""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.reference import Looks

_WHITE_SHARE: Final = 0.995
_CALM_SHARE: Final = 0.05
_LIKENESS_SIDE: Final = 32
_LUMA: Final = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_GREY_AXES: Final = 3


def lumas(levels: Array) -> Array:
    """Float64 [pictures, height, width] of [pictures, height, width (, 1 or 3 in RGB)]."""
    exact = levels.astype(np.float64)
    if exact.ndim == _GREY_AXES:
        return exact
    if exact.shape[-1] == len(_LUMA):
        weighted: Array = exact @ _LUMA
        return weighted
    mean: Array = exact.mean(axis=-1)
    return mean


def looks(levels: Array) -> Looks:
    """White and noise of each picture.

    Args:
        levels: 0 to 255, [pictures, height, width (, channels)].
    """
    grey = lumas(levels)
    flat = grey.reshape(len(grey), -1)
    return Looks(np.quantile(flat, _WHITE_SHARE, axis=1), np.array([_noise(each) for each in grey]))


def _noise(grey: Array) -> float:
    side = 3
    if min(grey.shape) < side:
        return 0.0
    windows = sliding_window_view(grey, (side, side)).reshape(-1, side * side)
    return float(np.quantile(windows.std(axis=1), _CALM_SHARE))


def signatures(levels: Array) -> Array:
    """What likeness is measured on: luma of at most 32 x 32, mean 0, length 1; [pictures, n].

    A picture of one level has the length 0, and is like nothing.
    """
    grey = lumas(levels)
    for axis in (1, 2):
        grey = _reduced(grey, axis)
    flat = grey.reshape(len(grey), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: Array = flat / np.maximum(length, 1e-9)
    return unit


def _reduced(grey: Array, axis: int) -> Array:
    side = grey.shape[axis]
    if side <= _LIKENESS_SIDE:
        return grey
    starts = np.arange(_LIKENESS_SIDE) * side // _LIKENESS_SIDE
    counts = np.diff(np.append(starts, side))
    shape = [1] * grey.ndim
    shape[axis] = -1
    mean: Array = np.add.reduceat(grey, starts, axis=axis) / counts.reshape(shape)
    return mean


def blurred(levels: Array, deviation_pixels: float) -> Array:
    """A picture [height, width, channels] under a Gaussian, its edge repeated; the same dtype."""
    reach = max(1, int(3 * deviation_pixels + 0.5))
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / deviation_pixels) ** 2)
    weights /= weights.sum()
    exact = levels.astype(np.float64)
    for axis in (0, 1):
        pads = [(reach, reach) if each == axis else (0, 0) for each in range(exact.ndim)]
        padded = np.pad(exact, pads, mode="edge")
        windows = sliding_window_view(padded, len(weights), axis=axis)
        exact = windows @ weights
    rounded: Array = np.floor(exact + 0.5).astype(levels.dtype)
    return rounded
