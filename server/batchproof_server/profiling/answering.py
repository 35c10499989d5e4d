"""Answers labelled pictures as the server does, on all cores, and keeps what a profile needs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.batching.assembly import assemble, bucket_for
from batchproof_server.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.signals import Signals, prediction_signals
from batchproof_server.errors import InvalidInput
from batchproof_server.imaging.decoded import DecodedImage, decoded_image, row_inputs
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.loading import LoadedModel
from batchproof_server.row_inputs import RowInputs
from batchproof_server.scores import Scores, score
from batchproof_server.signature import Array

Count: TypeAlias = Callable[[int], None]
"""Told how many pictures are done."""

_MAX_CHUNK_PICTURES: Final = 512
_MAX_CHUNK_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    scores: Scores
    inputs: RowInputs


def answered(
    model: LoadedModel,
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    threads: int,
    count: Count,
) -> Signals:
    """The signals of every picture, in their order.

    One thread executes micro-batches while the others decode what comes next.

    Args:
        model: as it is served, with class scores.
        recipe: the model's.
        pictures: one or more.
        threads: that decode.
        count: learns of the progress.

    Raises:
        InvalidData: pictures that cannot be read or are refused, or whose answer is not finite.
    """
    chunks: list[_Chunk] = []
    refused: list[str] = []
    done = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as decoding:
        for part, images in _decoded(recipe, _parts(model, pictures), decoding):
            there = [image for image in images if isinstance(image, DecodedImage)]
            refused += [fault for fault in images if isinstance(fault, str)]
            if not refused:
                chunks.append(_executed(model, part, there))
            done += len(part)
            count(done)
    if refused:
        raise InvalidData(refused)
    return _signals(chunks)


def _parts(
    model: LoadedModel, pictures: Sequence[LabelledPicture]
) -> Iterator[Sequence[LabelledPicture]]:
    """Chunks of whole micro-batches whose rows take up to 64 MiB."""
    spec = model.backend.signature.inputs[0]
    row_bytes = spec.dtype.itemsize * int(np.prod([size or 256 for size in spec.row_shape]))
    largest = model.batching.max_batch_rows
    wanted = min(_MAX_CHUNK_PICTURES, _MAX_CHUNK_BYTES // row_bytes)
    size = largest * max(1, int(wanted) // largest)
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


def _decoded(
    recipe: Recipe, parts: Iterable[Sequence[LabelledPicture]], decoding: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[LabelledPicture], list[DecodedImage | str]]]:
    """Chunks of pictures with their rows, or why there is none; one chunk is decoded ahead."""

    def decode(picture: LabelledPicture) -> DecodedImage | str:
        try:
            return decoded_image(recipe, picture.read())
        except OSError as fault:
            return f"{picture.name}: cannot be read ({fault.strerror})"
        except InvalidInput as fault:
            return f"{picture.name}: {fault}"

    ahead: tuple[Sequence[LabelledPicture], Iterator[DecodedImage | str]] | None = None
    for part in parts:
        images = decoding.map(decode, part)
        if ahead is not None:
            yield ahead[0], list(ahead[1])
        ahead = part, images
    if ahead is not None:
        yield ahead[0], list(ahead[1])


def _executed(
    model: LoadedModel, pictures: Sequence[LabelledPicture], images: Sequence[DecodedImage]
) -> _Chunk:
    kind = model.output.kind
    if kind == "raw":
        raise InvalidData(['output.kind is "raw", expected "logits" or "probabilities"'])
    outputs: dict[int, Array] = {}
    for shape in {image.row.shape for image in images}:
        places = [place for place, image in enumerate(images) if image.row.shape == shape]
        rows = np.stack([images[place].row for place in places])
        outputs |= dict(zip(places, _outputs(model, rows), strict=True))
    output = np.stack([outputs[place] for place in range(len(images))])
    try:
        scores = score(output, kind)
    except InvalidInput as fault:
        place = int(np.argmin(np.isfinite(output).all(axis=1)))
        raise InvalidData([f"{pictures[place].name}: {fault}"]) from fault
    return _Chunk(scores, row_inputs([image.seen for image in images]))


def _outputs(model: LoadedModel, rows: Array) -> Array:
    """The output of the scores, executed in micro-batches padded to a bucket as the server does."""
    largest, buckets = model.batching.max_batch_rows, model.batching.buckets_rows
    name, output = model.backend.signature.inputs[0].name, model.output.name or ""
    parts = []
    for start in range(0, len(rows), largest):
        part = rows[start : start + largest]
        bucket_rows = bucket_for(len(part), buckets)
        outputs = model.backend.execute(assemble([{name: part}], bucket_rows))
        parts.append(outputs[output][: len(part)])
    return np.concatenate(parts)


def _signals(chunks: Sequence[_Chunk]) -> Signals:
    def joined(what: Callable[[_Chunk], Array]) -> Array:
        return np.concatenate([what(chunk) for chunk in chunks])

    logits = [chunk.scores.logits for chunk in chunks if chunk.scores.logits is not None]
    signals = prediction_signals(
        joined(lambda chunk: chunk.scores.probabilities),
        np.concatenate(logits) if logits else None,
        joined(lambda chunk: chunk.scores.entropy),
    )
    values = {**signals.values, **input_values([chunk.inputs for chunk in chunks])}
    return Signals(signals.classes, values, signals.log_probabilities)
