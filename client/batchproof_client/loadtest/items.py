"""The messages of a run, all built before it, so that sending costs little."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from batchproof_client.answers import Array
from batchproof_client.descriptions import TensorSpec
from batchproof_client.errors import LocalInputError
from batchproof_client.loadtest.corruption import Step, Variant, corrupted, variants
from batchproof_client.loadtest.mix import RANDOM, Kind
from batchproof_client.loadtest.pictures import (
    NamedPicture,
    generated,
    parse_generated,
    read_folder,
)

_MOST_PREPARED_BYTES: Final = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Item:
    """One request, ready to be sent any number of times.

    Attributes:
        name: for reports.
        message: serialised.
        weight: how often it is sent, relative to the other items.
        rows: pictures or rows.
        stream: whether it goes over a stream.
    """

    name: str
    message: bytes
    weight: float
    rows: int
    stream: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What one request asks about: pictures, or else tensors.

    Attributes:
        name: for reports.
        share: of the requests of its kind.
        pictures: encoded.
        tensors: by input name, rows on axis 0.
    """

    name: str
    share: float
    pictures: tuple[bytes, ...] = ()
    tensors: dict[str, Array] | None = None


class Composer(Protocol):
    """Turns inputs into a message of its protocol."""

    def inputs_of(self, kind: Kind) -> Sequence[TensorSpec]:
        """The model's inputs."""
        ...

    def message(self, kind: Kind, inputs: Inputs) -> bytes:
        """Serialises one request.

        Raises:
            LocalInputError: the protocol cannot carry it.
        """
        ...


def build(
    kinds: Sequence[Kind], corruption: tuple[Step, ...], composer: Composer, seed: int
) -> tuple[Item, ...]:
    """Builds every item.

    Raises:
        LocalInputError: an input cannot be read or sent, or they do not fit into memory together.
    """
    items: list[Item] = []
    prepared_bytes = 0
    for kind in kinds:
        for inputs in _inputs(kind, corruption, composer, seed):
            message = composer.message(kind, inputs)
            prepared_bytes += len(message)
            if prepared_bytes > _MOST_PREPARED_BYTES:
                raise LocalInputError(
                    f"the requests take more than {_MOST_PREPARED_BYTES} bytes, expected fewer"
                    " or smaller pictures"
                )
            weight = kind.weight * inputs.share
            items.append(Item(inputs.name, message, weight, kind.rows, kind.stream))
    return tuple(items)


def _inputs(
    kind: Kind, corruption: tuple[Step, ...], composer: Composer, seed: int
) -> Iterator[Inputs]:
    if kind.images:
        yield from _picture_inputs(read_folder(kind.images), kind, corruption, seed)
    elif kind.generate:
        pictures = generated(parse_generated(kind.generate), kind.count, seed)
        yield from _picture_inputs(pictures, kind, corruption, seed)
    elif kind.tensors == RANDOM:
        yield from _random_inputs(kind, composer.inputs_of(kind), seed)
    else:
        yield _file_inputs(kind.tensors, composer.inputs_of(kind))


def _picture_inputs(
    pictures: Sequence[NamedPicture], kind: Kind, corruption: tuple[Step, ...], seed: int
) -> Iterator[Inputs]:
    """One request for each picture and each way to spoil it; more rows take the next pictures."""
    for variant in variants(corruption):
        spoilt = [
            _spoilt(picture, variant, seed + number) for number, picture in enumerate(pictures)
        ]
        for number in range(len(spoilt)):
            rows = [spoilt[(number + row) % len(spoilt)] for row in range(kind.rows)]
            yield Inputs(
                rows[0].name, variant.share / len(spoilt), tuple(row.content for row in rows)
            )


def _spoilt(picture: NamedPicture, variant: Variant, seed: int) -> NamedPicture:
    if not variant.steps:
        return picture
    try:
        content = corrupted(picture.content, variant.steps, seed)
    except LocalInputError as fault:
        raise LocalInputError(f"{picture.name}: {fault}") from fault
    return NamedPicture(f"{picture.name} {variant.name}", content)


def _random_inputs(kind: Kind, specs: Sequence[TensorSpec], seed: int) -> Iterator[Inputs]:
    for number in range(kind.count):
        rng = np.random.default_rng((seed, number))
        tensors = {spec.name: _random(spec, kind, rng) for spec in specs}
        yield Inputs(f"random tensor #{number}", 1 / kind.count, tensors=tensors)


def _random(spec: TensorSpec, kind: Kind, rng: np.random.Generator) -> Array:
    shape = (kind.rows, *_row_shape(spec, kind.shape))
    dtype = _dtype(spec)
    if dtype.kind == "f":
        return rng.random(shape, dtype=np.float32).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(0, min(256, int(np.iinfo(dtype).max) + 1), shape).astype(dtype)


def _dtype(spec: TensorSpec) -> np.dtype[Any]:
    with suppress(TypeError):
        dtype = np.dtype(spec.dtype)
        if dtype.kind in "biuf":
            return dtype
    raise LocalInputError(
        f'input "{spec.name}" has the dtype {spec.dtype}, which has no random values;'
        " expected a file of tensors"
    )


def _row_shape(spec: TensorSpec, shape: str) -> tuple[int, ...]:
    open_shape = spec.shape[1:]
    if not shape:
        if -1 in open_shape:
            raise LocalInputError(
                f'input "{spec.name}" has the shape {list(spec.shape)}, expected --shape'
                " to say what a row looks like"
            )
        return open_shape
    try:
        given = tuple(int(size) for size in shape.split("x"))
    except ValueError:
        given = ()
    fits = len(given) == len(open_shape) and all(
        size >= 1 and wanted in {-1, size} for size, wanted in zip(given, open_shape, strict=True)
    )
    if not fits:
        raise LocalInputError(
            f'shape is "{shape}", expected that of one row of input "{spec.name}",'
            f" {list(open_shape)}"
        )
    return given


def _file_inputs(name: str, specs: Sequence[TensorSpec]) -> Inputs:
    try:
        loaded = np.load(name, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Inputs(name, 1.0, tensors={_only(specs).name: loaded})
        with loaded:
            return Inputs(name, 1.0, tensors={key: loaded[key] for key in loaded.files})
    except (OSError, ValueError, EOFError) as fault:
        if isinstance(fault, LocalInputError):
            raise
        reason = fault.strerror if isinstance(fault, OSError) else None
        raise LocalInputError(
            f"{name}: cannot be read as .npy or .npz{f': {reason}' if reason else ''}"
        ) from fault


def _only(specs: Sequence[TensorSpec]) -> TensorSpec:
    if len(specs) != 1:
        names = ", ".join(spec.name for spec in specs)
        raise LocalInputError(f"the model has the inputs {names}, expected a .npz that names each")
    return specs[0]
