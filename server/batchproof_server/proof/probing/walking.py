"""Further probe rows for what the audit could not decide. Pure.

A fault that the audit cannot exclude may wait for a certain picture: for one as bright as this, or
with a pixel like that. So these rows walk through the numbers at which the model's graph decides,
through pictures, and through levels of brightness.

The pictures are made, not taken: noise whose amplitude falls with the frequency, which is what the
spectra of photographs have in common (Field 1987, "Relations between the statistics of natural
images and the response properties of cortical cells").
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array, Signature
from batchproof_server.proof.probing.rows import (
    Dtype,
    Fill,
    Generator,
    Kind,
    ProbeRow,
    filled,
    within_type,
)

MAX_THRESHOLD_ROWS: Final = 48
PICTURES: Final = 8
LEVELS: Final = 26
"""Of brightness, in each of two ranges: less than 10 of 255 lie between two of them."""
PERMUTATIONS: Final = 3
"""In each bucket; one more than for a model that was read."""

# A share of the threshold: far more than rounding moves a mean, less than any threshold can mean.
_JUST: Final = 1e-3
# Keys of the noise, away from those of the other rows.
_FIRST_NUMBER: Final = 1_000
_SIDES: Final = {1: "just above", -1: "just below", 0: "at"}
_RANGES: Final = ((0, 255), (0, 1), (-1, 1), (40, 120))

_Shape: TypeAlias = tuple[int, ...]
_Form: TypeAlias = Callable[[float, _Shape, Generator], Array]
_Made: TypeAlias = tuple[Kind, str, Fill]


def walking_rows(
    signature: Signature, like: ProbeRow, thresholds: Sequence[float]
) -> tuple[ProbeRow, ...]:
    """Rows that walk through thresholds, pictures and brightness; the same for the same arguments.

    Args:
        signature: whose inputs are filled.
        like: a row of the shapes to make.
        thresholds: levels of inputs, the most telling first.

    Returns:
        At most ``MAX_THRESHOLD_ROWS + PICTURES + 2 * LEVELS``, no two alike.
    """
    shapes = {name: array.shape for name, array in like.tensors.items()}
    made = (
        *itertools.islice(_by_threshold(thresholds), MAX_THRESHOLD_ROWS),
        *_pictures(),
        *_levels(),
    )
    different: dict[tuple[bytes, ...], ProbeRow] = {}
    for number, (kind, name, fill) in enumerate(made, _FIRST_NUMBER):
        row = ProbeRow(name, kind, filled(signature, shapes, fill, number))
        different.setdefault(tuple(array.tobytes() for array in row.tensors.values()), row)
    return tuple(different.values())


def _by_threshold(thresholds: Sequence[float]) -> Iterator[_Made]:
    """All thresholds in one form, then all in the next, so that none is left out for another."""
    for (name, form), side in itertools.product(_FORMS.items(), _SIDES):
        if side or form is _level:
            kind: Kind = "threshold" if side else "edge"
            for threshold in thresholds:
                text = f"{name} {_SIDES[side]} {threshold:.7g}"
                yield kind, text, partial(_beside, form, threshold, side)


def _pictures() -> Iterator[_Made]:
    for number, (low, high) in zip(range(PICTURES), itertools.cycle(_RANGES), strict=False):
        fill = partial(_picture, low, high)
        yield "picture", f"picture {number}, made, in [{low}, {high}]", fill


def _levels() -> Iterator[_Made]:
    for most, number in itertools.product((255, 1), range(LEVELS)):
        level = most * (number + 0.5) / LEVELS
        yield "picture", f"mean level {level:.4g}", partial(_beside, _mean, level, 0)


def _beside(
    form: _Form, threshold: float, side: int, shape: _Shape, dtype: Dtype, numbers: Generator
) -> Array:
    """A form at a number, just above or just below it; the next whole number for whole types."""
    if dtype.kind == "f":
        number = threshold + side * _JUST * max(abs(threshold), _JUST)
    else:
        number = np.floor(threshold) + 1 if side > 0 else np.ceil(threshold) - (side < 0)
    return within_type(form(float(number), shape, numbers), dtype)


def _picture(low: float, high: float, shape: _Shape, dtype: Dtype, numbers: Generator) -> Array:
    """Spatial noise with amplitudes of 1 over the frequency, stretched to a range."""
    axes = tuple(range(max(len(shape) - 1, 1))) if shape else ()
    noise = numbers.normal(size=shape)
    if axes:
        frequencies = np.meshgrid(*(np.fft.fftfreq(shape[axis]) for axis in axes), indexing="ij")
        distance = np.sqrt(sum(each**2 for each in frequencies))
        distance[(0,) * len(axes)] = np.inf
        spread = distance.reshape(distance.shape + (1,) * (len(shape) - len(axes)))
        noise = np.fft.ifftn(np.fft.fftn(noise, axes=axes) / spread, axes=axes).real
    least, most = noise.min(), noise.max()
    return within_type(low + (noise - least) / max(most - least, 1e-30) * (high - low), dtype)


def _level(number: float, shape: _Shape, _: Generator) -> Array:
    return np.full(shape, number)


def _mean(number: float, shape: _Shape, numbers: Generator) -> Array:
    reach = max(abs(number), 1e-3) / 4
    noise = numbers.uniform(-reach, reach, shape)
    return np.asarray(number + noise - noise.mean())


def _one(number: float, shape: _Shape, numbers: Generator) -> Array:
    return _set_one(np.zeros(shape), number, numbers)


def _greatest(number: float, shape: _Shape, numbers: Generator) -> Array:
    reach = max(abs(number), 1e-3)
    return _set_one(numbers.uniform(number - reach, number, shape), number, numbers)


def _least(number: float, shape: _Shape, numbers: Generator) -> Array:
    reach = max(abs(number), 1e-3)
    return _set_one(numbers.uniform(number, number + reach, shape), number, numbers)


def _set_one(values: Array, number: float, numbers: Generator) -> Array:
    """Puts a number somewhere."""
    changed = np.array(values)
    changed.reshape(-1)[int(numbers.integers(changed.size))] = number
    return changed


_FORMS: Final[Mapping[str, _Form]] = {
    "level": _level,
    "mean": _mean,
    "one value": _one,
    "greatest value": _greatest,
    "least value": _least,
}
