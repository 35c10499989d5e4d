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
_LEAST_WAVES, _MOST_WAVES = 2, 30
_FADED_SHARE: Final = 1 / 6


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
    """White, noise and axes of each picture.

    Args:
        levels: 0 to 255, [pictures, height, width (, channels)].
    """
    grey = lumas(levels)
    flat = grey.reshape(len(grey), -1)
    return Looks(
        white=np.quantile(flat, _WHITE_SHARE, axis=1),
        noise=np.array([_noise(each) for each in grey]),
        axes=edge_axes(grey),
    )


def _noise(grey: Array) -> float:
    side = 3
    if min(grey.shape) < side:
        return 0.0
    windows = sliding_window_view(grey, (side, side)).reshape(-1, side * side)
    return float(np.quantile(windows.std(axis=1), _CALM_SHARE))


def edge_axes(grey: Array) -> Array:
    """How far edges lie along two axes at right angles, and along which.

    ``sum(a exp(4 i phi)) / sum(a)`` over the Fourier transform of a disc in the middle of the
    picture, whose rim fades, with 2 to 30 waves across: ``phi`` is the direction of a wave and
    ``a`` the root of its power over the mean power of waves as long, so that no scale outweighs
    the others. What was built and what stands upright has more edges along the horizon and the
    vertical (Switkes, Mayer and Sloan 1978); a turn by ``t`` multiplies the figure by
    ``exp(4 i t)``. The disc holds nothing of the corners that a turn fills with something.

    Args:
        grey: float64 [pictures, height, width].

    Returns:
        complex128 [pictures], of length 0 to 1; 0 for a picture of one level.
    """
    side = min(grey.shape[1:])
    top, left = ((length - side) // 2 for length in grey.shape[1:])
    disc = _disc(side)
    squares = grey[:, top : top + side, left : left + side]
    means = (squares * disc).sum(axis=(1, 2), keepdims=True) / max(float(disc.sum()), 1e-9)
    waves = np.fft.fftfreq(side) * side
    length = np.hypot(waves[:, np.newaxis], waves)
    used = (length >= _LEAST_WAVES) & (length < min(_MOST_WAVES, side / 2))
    power = np.abs(np.fft.fft2((squares - means) * disc))[:, used] ** 2
    turned = np.exp(4j * np.arctan2(waves[:, np.newaxis], waves)[used])
    return np.array([_axes(each, length[used].astype(int), turned) for each in power], complex)


def _disc(side: int) -> Array:
    """1 in the middle, and 0 from the rim on."""
    places = np.arange(side) - (side - 1) / 2
    inside = side / 2 - np.hypot(places[:, np.newaxis], places)
    share = np.clip(inside / (side * _FADED_SHARE), 0, 1)
    smooth: Array = share * share * (3 - 2 * share)
    return smooth


def _axes(power: Array, ring: Array, turned: Array) -> complex:
    means = np.bincount(ring, power) / np.maximum(np.bincount(ring), 1)
    over = np.sqrt(power / np.maximum(means[ring], 1e-9))
    return complex((over * turned).sum() / max(float(over.sum()), 1e-9))


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


def likeness(these: Array, others: Array) -> Array:
    """The correlation of levels: [these, others] of two lots of ``signatures``.

    Without BLAS: on its second thread a millisecond comes to thirty where another one executes.
    """
    correlations: Array = np.einsum("in,jn->ij", these, others)
    return correlations


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
