"""Randomness that depends on the seed, the picture and the view, and on nothing else.

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011) whose raw stream numpy keeps the same over its versions; numpy's normal distribution has no
such promise. So the raw bits are turned into normal deviates here, by a table of quantiles.
"""

import hashlib
from functools import cache
from statistics import NormalDist
from typing import Final

import numpy as np

from batchproof_server.base.signature import Array

MAX_SEED: Final = 2**64 - 1
_LEVELS: Final = 1 << 16
# Deviates made at a time: they stay in the processor's cache, and need little memory.
_BLOCK: Final = 1 << 16


def picture_digest(pixels: Array) -> bytes:
    """SHA-256 of dtype, shape and levels of a picture [height, width, channels]."""
    head = f"{pixels.dtype.str} {list(pixels.shape)}\n"
    digest = hashlib.sha256(head.encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def view_key(seed: int, picture: bytes, view: str, occurrence: int) -> int:
    """The key of a view's generator: 128 bits of a SHA-256.

    Args:
        seed: 0 to ``MAX_SEED``.
        picture: ``picture_digest``.
        view: its canonical text.
        occurrence: 0 for the first of several equal views of a picture, 1 for the next.
    """
    what = f"{seed} {picture.hex()} {view} {occurrence}"
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:16], "little")


@cache
def normal_deviates() -> Array:
    """What 16 random bits n become: the standard normal quantile of (n + 1/2) / 65536.

    Takes milliseconds, so it is made once. float64 [65536], read-only.
    """
    inverse = NormalDist().inv_cdf
    upper = [inverse((n + 0.5) / _LEVELS) for n in range(_LEVELS // 2, _LEVELS)]
    half = np.array(upper, np.float64)
    deviates = np.concatenate((-half[::-1], half))
    deviates.flags.writeable = False
    return deviates


def with_noise(pixels: Array, stddev: float, highest: int, key: int, deviates: Array) -> Array:
    """The picture with normal noise on each level of each channel, cut off at 0 and ``highest``.

    A deviate times ``stddev * highest`` is rounded to the nearest level. 64 raw bits make four, the
    lowest first.

    Args:
        pixels: [height, width, channels].
        stddev: as a share of ``highest``.
        highest: level, white.
        key: see ``view_key``.
        deviates: see ``normal_deviates``.
    """
    # 8 bits and the greatest step, 0.5 x 255 x 4.3, add up within 16.
    kind = np.int16 if pixels.dtype == np.uint8 else np.int32
    steps = _steps(deviates, stddev * highest).astype(kind)
    generator = np.random.Philox(key=key)
    noisy = np.empty(pixels.size, pixels.dtype)
    flat = np.ascontiguousarray(pixels).reshape(-1)
    moved = np.empty(min(flat.size, _BLOCK), kind)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        raw = generator.random_raw(-(-block.size // 4))
        drawn = raw.astype("<u8", copy=False).view("<u2")[: block.size]
        part = moved[: block.size]
        # There is nothing to clip: it only spares the search for what is out of range.
        steps.take(drawn, out=part, mode="clip")
        np.add(part, block, out=part)
        noisy[start : start + _BLOCK] = np.clip(part, 0, highest, out=part)
    return noisy.reshape(pixels.shape)


def _steps(deviates: Array, deviation: float) -> Array:
    """In whole levels, for each n; rounding to even is the same on both sides of 0."""
    half = deviates[_LEVELS // 2 :] * deviation
    np.rint(half, out=half)
    deviates = np.concatenate((-half[::-1], half))
    deviates.flags.writeable = False
    return deviates
