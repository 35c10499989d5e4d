"""The rows that are sent through a model to try it: noise, constants, extremes, real samples. Pure.

Noise comes from the counter-based generator Philox 4x64 (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"), keyed by seed, row and input: the same rows on every machine.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from batchproof_server.base.signature import Array, Signature, Tensors, TensorSpec
from batchproof_server.base.spread import spread

Kind: TypeAlias = Literal[
    "noise", "constant", "extreme", "sample", "threshold", "edge", "picture", "rounding"
]

SEED: Final = 20_240_229
PROBE_ROWS: Final = 16
MAX_SAMPLES: Final = 6
WIDEST: Final = "wide magnitudes"
ANY_SIZE: Final = 64
"""What a dimension of any size is taken to be, unless samples say otherwise."""

Generator: TypeAlias = np.random.Generator
Dtype: TypeAlias = np.dtype[Any]
Fill: TypeAlias = Callable[[tuple[int, ...], Dtype, Generator], Array]
"""Makes one input of one row, of a shape and for a type, which the caller converts to."""


@dataclass(frozen=True, slots=True, eq=False)
class ProbeRow:
    """One row to try.

    Attributes:
        name: says how it was made.
        kind: of row.
        tensors: for each input an array of the row's shape, without axis 0.
    """

    name: str
    kind: Kind
    tensors: Tensors

    @property
    def is_ordinary(self) -> bool:
        """Whether rounding may change only the last bits of its answer.

        It may change any of an extreme row, whose sums lose most of their digits, and of a row that
        sits exactly on a threshold.
        """
        return self.kind not in ("extreme", "edge")

    @property
    def tells_roundings(self) -> bool:
        """Whether it is one of many that tell apart buckets which round otherwise, and no more."""
        return self.kind == "rounding"

    @property
    def is_judged(self) -> bool:
        """Whether a model is refused that answers it otherwise by more than rounding explains.

        The rows that tell roundings apart are so many that the numbers of some lie on a line by
        accident, where a last bit chooses the class.
        """
        return self.is_ordinary and not self.tells_roundings


def probe_rows(
    signature: Signature, samples: Sequence[tuple[str, Array]] = ()
) -> tuple[ProbeRow, ...]:
    """The probe rows of a model: ``PROBE_ROWS`` of them, the same for the same arguments.

    Args:
        signature: whose inputs are filled.
        samples: real rows with their names, for a model with one input; at most ``MAX_SAMPLES`` are
            taken, spread evenly. Noise takes the place of samples that are not there.
    """
    real = _sample_rows(signature, spread(samples, MAX_SAMPLES))
    shapes = _shapes(signature, real)
    made: list[tuple[Kind, str, Fill]] = [
        *(("noise", name, fill) for name, fill in NOISE.items()),
        *(("constant", name, fill) for name, fill in _CONSTANTS.items()),
        *(("extreme", name, fill) for name, fill in _EXTREMES.items()),
    ]
    again = itertools.cycle(NOISE.items())
    while len(made) + len(real) < PROBE_ROWS:
        name, fill = next(again)
        made.append(("noise", f"{name}, number {len(made)}", fill))
    rows = [
        ProbeRow(name, kind, filled(signature, shapes, fill, number))
        for number, (kind, name, fill) in enumerate(made)
    ]
    return (*rows, *real)


def filled(
    signature: Signature, shapes: Mapping[str, tuple[int, ...]], fill: Fill, number: int
) -> Tensors:
    """Every input of one row.

    Args:
        signature: of the model.
        shapes: of a row, by the names of the inputs.
        fill: makes each of them.
        number: of the row, which keys its noise.
    """
    return {
        spec.name: _fill_one(spec, shapes[spec.name], fill, number * len(signature.inputs) + place)
        for place, spec in enumerate(signature.inputs)
    }


def poison_rows(row: ProbeRow) -> tuple[ProbeRow, ...]:
    """``row`` with NaN or an infinity in every floating input; none where no input is floating."""
    floating = [name for name, array in row.tensors.items() if array.dtype.kind == "f"]
    return tuple(
        ProbeRow(str(value), "extreme", dict(row.tensors) | _poisoned(row, floating, value))
        for value in (np.nan, np.inf, -np.inf)
        if floating
    )


def _poisoned(row: ProbeRow, names: Iterable[str], value: float) -> dict[str, Array]:
    return {name: np.full_like(row.tensors[name], value) for name in names}


def rows_digest(rows: Iterable[ProbeRow]) -> str:
    """SHA-256 over names, shapes and bits of probe rows, in hexadecimal."""
    digest = hashlib.sha256()
    for row in rows:
        for name, array in row.tensors.items():
            digest.update(f"{row.name}\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def count_kinds(rows: Iterable[ProbeRow]) -> dict[str, int]:
    """How many rows of each kind there are; 0 too of those that every model gets."""
    counts: dict[str, int] = dict.fromkeys(("noise", "constant", "extreme", "sample"), 0)
    for row in rows:
        counts[row.kind] = counts.get(row.kind, 0) + 1
    return counts


def _sample_rows(signature: Signature, samples: Sequence[tuple[str, Array]]) -> list[ProbeRow]:
    """The samples that have the shape of the first one, since a batch has one shape."""
    if not samples or len(signature.inputs) != 1:
        return []
    shape = samples[0][1].shape
    name = signature.inputs[0].name
    return [
        ProbeRow(f"sample {file}", "sample", {name: array})
        for file, array in samples
        if array.shape == shape
    ]


def _shapes(signature: Signature, real: Sequence[ProbeRow]) -> Mapping[str, tuple[int, ...]]:
    if real:
        return {name: array.shape for name, array in real[0].tensors.items()}
    return {
        spec.name: tuple(size or ANY_SIZE for size in spec.row_shape) for spec in signature.inputs
    }


def _fill_one(spec: TensorSpec, shape: tuple[int, ...], fill: Fill, key: int) -> Array:
    numbers = np.random.Generator(np.random.Philox(key=[SEED, key]))
    return fill(shape, spec.dtype, numbers).astype(spec.dtype, copy=False)


def within_type(values: Array, dtype: Dtype) -> Array:
    """What a type can hold, whole where it holds nothing else."""
    if dtype.kind == "b":
        return values > 0
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return np.clip(values, float(limits.min), float(limits.max))
    whole = np.iinfo(dtype)
    return np.clip(np.rint(values), whole.min, whole.max)


def _uniform(low: float, high: float) -> Fill:
    """Uniform noise; whole numbers below ``high`` for whole types, which hold no fractions."""

    def fill(shape: tuple[int, ...], dtype: Dtype, numbers: Generator) -> Array:
        if dtype.kind == "f":
            return numbers.uniform(low, high, shape)
        if dtype.kind == "b":
            return numbers.integers(0, 2, shape)
        limits = np.iinfo(dtype)
        least, most = max(int(low), limits.min), min(int(high), limits.max)
        return numbers.integers(least, most, shape, dtype=np.int64, endpoint=True)

    return fill


def _normal(shape: tuple[int, ...], dtype: Dtype, numbers: Generator) -> Array:
    if dtype.kind == "f":
        return numbers.normal(0, 3, shape)
    return _uniform(0, 10)(shape, dtype, numbers)


def _constant(value: int) -> Fill:
    def fill(shape: tuple[int, ...], dtype: Dtype, _: Generator) -> Array:
        most = value if dtype.kind in "fb" else min(value, int(np.iinfo(dtype).max))
        return np.full(shape, most)

    return fill


def _largest(shape: tuple[int, ...], dtype: Dtype, numbers: Generator) -> Array:
    """The largest values that the type holds, with both signs where it has them."""
    if dtype.kind == "f":
        return numbers.choice([-1.0, 1.0], shape) * float(np.finfo(dtype).max)
    if dtype.kind == "b":
        return np.ones(shape, bool)
    limits = np.iinfo(dtype)
    return numbers.choice(np.array([limits.min, limits.max], dtype), shape)


def _smallest(shape: tuple[int, ...], dtype: Dtype, numbers: Generator) -> Array:
    """Subnormal numbers; for whole types the two least."""
    if dtype.kind == "f":
        return numbers.uniform(-1, 1, shape) * float(np.finfo(dtype).smallest_normal)
    if dtype.kind == "b":
        return np.zeros(shape, bool)
    least = np.iinfo(dtype).min
    return numbers.choice(np.array([least, least + 1], dtype), shape)


def _wide(shape: tuple[int, ...], dtype: Dtype, numbers: Generator) -> Array:
    """Magnitudes from tiny to huge: another order of summation changes such sums most."""
    if dtype.kind != "f":
        return _uniform(0, 256)(shape, dtype, numbers)
    reach = 0.25 * float(np.log10(np.finfo(dtype).max))
    return numbers.choice([-1.0, 1.0], shape) * 10 ** numbers.uniform(-reach, reach, shape)


NOISE: Final[Mapping[str, Fill]] = {
    "noise in [0, 1]": _uniform(0, 1),
    "noise in [-1, 1]": _uniform(-1, 1),
    "noise in [0, 255]": _uniform(0, 255),
    "normal noise, deviation 3": _normal,
}
_CONSTANTS: Final[Mapping[str, Fill]] = {
    "zeros": _constant(0),
    "ones": _constant(1),
    "255": _constant(255),
}
_EXTREMES: Final[Mapping[str, Fill]] = {
    "largest": _largest,
    "subnormal": _smallest,
    WIDEST: _wide,
}
