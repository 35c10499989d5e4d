"""Answers labelled pictures as the server does, on all cores, and keeps what a profile needs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.input_statistics import RowInputs
from batchproof_server.base.scores import Scores, score
from batchproof_server.base.signature import Array
from batchproof_server.devices.assembly import assemble, bucket_for
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.signals import Signals, prediction_signals
from batchproof_server.imaging.decoded import decoded_image, row_inputs
from batchproof_server.models.loading import LoadedModel
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.reference_profile.views import disagreement, other_views, plain_first
from batchproof_server.tta.combining import view_probabilities
from batchproof_server.tta.expansion import Expanded, Expansion
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import IDENTITY, View

Count: TypeAlias = Callable[[int], None]
"""Told how many pictures are done."""

_MAX_CHUNK_PICTURES: Final = 512
_MAX_CHUNK_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    scores: Scores
    inputs: RowInputs
    disagreement: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers pictures with a model, as it is served.

    Attributes:
        model: with class scores.
        expansion: the model's.
        plan: of the test-time augmentation whose signals are wanted too; all others are those of
            the plain answers. None for these alone.
    """

    model: LoadedModel
    expansion: Expansion
    plan: Plan | None = None

    def signals(self, pictures: Sequence[LabelledPicture], threads: int, count: Count) -> Signals:
        """The signals of every picture, in their order.

        One thread executes micro-batches while the others decode what comes next.

        Args:
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
            for part, images in _decoded(self._look(), self._parts(pictures), decoding):
                there = [image for image in images if isinstance(image, Expanded)]
                refused += [fault for fault in images if isinstance(fault, str)]
                if not refused:
                    chunks.append(self._chunk(part, there))
                done += len(part)
                count(done)
        if refused:
            raise InvalidData(refused)
        return _signals(chunks)

    def _look(self) -> Callable[[bytes], Expanded]:
        """From an encoded picture to its rows, the plain one first, and what was seen of it."""
        if self.plan is None:
            return partial(_plain, self.expansion)
        return partial(self.expansion.expanded, plain_first(self.plan), is_watched=True)

    def _parts(self, pictures: Sequence[LabelledPicture]) -> Iterator[Sequence[LabelledPicture]]:
        """Chunks of whole micro-batches whose rows take up to 64 MiB."""
        spec = self.model.backend.signature.inputs[0]
        views = 1 if self.plan is None else 1 + len(other_views(self.plan))
        row_bytes = spec.dtype.itemsize * int(np.prod([size or 256 for size in spec.row_shape]))
        largest = self.model.batching.max_batch_rows
        wanted = min(_MAX_CHUNK_PICTURES, _MAX_CHUNK_BYTES // (row_bytes * views))
        size = largest * max(1, int(wanted) // largest)
        for start in range(0, len(pictures), size):
            yield pictures[start : start + size]

    def _chunk(self, pictures: Sequence[LabelledPicture], images: Sequence[Expanded]) -> _Chunk:
        kind = self.model.output.kind
        if kind == "raw":
            raise InvalidData(['output.kind is "raw", expected "logits" or "probabilities"'])
        output = self._outputs([image.rows[:1] for image in images])
        with _named(pictures, output):
            scores = score(output[:, 0], kind)
        inputs = row_inputs([image.seen for image in images if image.seen is not None])
        values = (
            {} if self.plan is None else self._disagreement(self.plan, pictures, images, output)
        )
        return _Chunk(scores, inputs, values)

    def _disagreement(
        self,
        plan: Plan,
        pictures: Sequence[LabelledPicture],
        images: Sequence[Expanded],
        plain: Array,
    ) -> dict[str, Array]:
        def execute(places: Sequence[int]) -> Array:
            output = self._outputs([images[place].rows[1:] for place in places])
            with _named([pictures[place] for place in places], output):
                return self._probabilities(output, other_views(plan))

        return disagreement(plan, self._probabilities(plain, (IDENTITY,))[:, 0], execute)

    def _probabilities(self, output: Array, views: tuple[View, ...]) -> Array:
        name = self.model.output.name or ""
        rows = output.reshape(-1, output.shape[-1])
        return view_probabilities({name: rows}, self.model.output, range(len(output)), views)

    def _outputs(self, parts: Sequence[Array]) -> Array:
        """The output of the scores of each picture's rows, [pictures, rows, classes].

        Pictures whose rows have one shape are executed together.
        """
        outputs: dict[int, Array] = {}
        for shape in {part.shape for part in parts}:
            places = [place for place, part in enumerate(parts) if part.shape == shape]
            found = self._executed(np.concatenate([parts[place] for place in places]))
            outputs |= dict(zip(places, found.reshape(len(places), shape[0], -1), strict=True))
        return np.stack([outputs[place] for place in range(len(parts))])

    def _executed(self, rows: Array) -> Array:
        """Executes micro-batches padded to a bucket as the server does."""
        model = self.model
        largest, buckets = model.batching.max_batch_rows, model.batching.buckets_rows
        name, output = model.backend.signature.inputs[0].name, model.output.name or ""
        parts = []
        for start in range(0, len(rows), largest):
            part = rows[start : start + largest]
            bucket_rows = bucket_for(len(part), buckets)
            outputs = model.backend.execute(assemble([{name: part}], bucket_rows))
            parts.append(outputs[output][: len(part)])
        return np.concatenate(parts)


def _plain(expansion: Expansion, encoded: bytes) -> Expanded:
    image = decoded_image(expansion.recipe, encoded)
    return Expanded(image.row[np.newaxis], image.seen)


def _decoded(
    look: Callable[[bytes], Expanded],
    parts: Iterable[Sequence[LabelledPicture]],
    decoding: ThreadPoolExecutor,
) -> Iterator[tuple[Sequence[LabelledPicture], list[Expanded | str]]]:
    """Chunks of pictures with their rows, or why there is none; one chunk is decoded ahead."""

    def decode(picture: LabelledPicture) -> Expanded | str:
        try:
            return look(picture.read())
        except OSError as fault:
            return f"{picture.name}: cannot be read ({fault.strerror})"
        except InvalidInput as fault:
            return f"{picture.name}: {fault}"

    ahead: tuple[Sequence[LabelledPicture], Iterator[Expanded | str]] | None = None
    for part in parts:
        images = decoding.map(decode, part)
        if ahead is not None:
            yield ahead[0], list(ahead[1])
        ahead = part, images
    if ahead is not None:
        yield ahead[0], list(ahead[1])


@contextmanager
def _named(pictures: Sequence[LabelledPicture], output: Array) -> Iterator[None]:
    """Names the picture whose output is not finite."""
    try:
        yield
    except InvalidInput as fault:
        place = int(np.argmin(np.isfinite(output).all(axis=(1, 2))))
        raise InvalidData([f"{pictures[place].name}: {fault}"]) from fault


def _signals(chunks: Sequence[_Chunk]) -> Signals:
    def joined(what: Callable[[_Chunk], Array]) -> Array:
        return np.concatenate([what(chunk) for chunk in chunks])

    logits = [chunk.scores.logits for chunk in chunks if chunk.scores.logits is not None]
    signals = prediction_signals(
        joined(lambda chunk: chunk.scores.probabilities),
        np.concatenate(logits) if logits else None,
        joined(lambda chunk: chunk.scores.entropy),
    )
    views = {
        name: np.concatenate([chunk.disagreement[name] for chunk in chunks])
        for name in chunks[0].disagreement
    }
    values = {**signals.values, **input_values([chunk.inputs for chunk in chunks]), **views}
    return Signals(signals.classes, values, signals.log_probabilities)
