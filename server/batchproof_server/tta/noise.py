"""Randomness that depends on the seed, the picture and the view, and on nothing else.

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011) whose raw stream numpy keeps the same over its versions; numpy's normal distribution has no
such promise. So the raw bits are turned into normal deviates here, by a table of quantiles.
"""

import hashlib
from statistics import NormalDist
from typing import Final

import numpy as np

from batchproof_server.signature import Array

MAX_SEED: Final = 2**64 - 1
_LEVELS: Final = 1 << 16
# Deviates made at a time, so that a large picture needs little memory beside its own.
_BLOCK: Final = 1 << 20


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


def normal_deviates() -> Array:
    """What 16 random bits n become: the standard normal quantile of (n + 1/2) / 65536.

    Takes milliseconds, so it is made once for a model version. float64 [65536].
    """
    inverse = NormalDist().inv_cdf
    upper = [inverse((n + 0.5) / _LEVELS) for n in range(_LEVELS // 2, _LEVELS)]
    half = np.array(upper, np.float64)
    return np.concatenate((-half[::-1], half))


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
    steps = np.rint(deviates * (stddev * highest)).astype(np.int32)
    generator = np.random.Philox(key=key)
    noisy = np.empty(pixels.size, pixels.dtype)
    flat = np.ascontiguousarray(pixels).reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        raw = generator.random_raw(-(-block.size // 4))
        drawn = raw.astype("<u8", copy=False).view("<u2")[: block.size]
        noisy[start : start + _BLOCK] = np.clip(block + steps[drawn], 0, highest)
    return noisy.reshape(pixels.shape)
