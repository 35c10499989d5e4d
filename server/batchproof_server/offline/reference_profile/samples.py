"""Pictures of the reference for people: thumbnails, and where they lie in the model's own space.

In the folder: ``0000.png`` and so on, ``samples.json`` with a line for each, ``embeddings.npy``.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from batchproof_server.backends.source import Penultimate
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.base.spread import spread
from batchproof_server.drift.signals import Signals
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.imaging.thumbnail import thumbnail_png
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture

REFERENCE_NAME: Final = "reference"
"""The folder; ``samples/`` is the proof's."""
SAMPLES_FILE: Final = "samples.json"
EMBEDDINGS_FILE: Final = "embeddings.npy"
THUMBNAIL_PIXELS: Final = 96


@dataclass(frozen=True, slots=True)
class WantedSamples:
    """Which samples to take.

    Attributes:
        count: how many, at most; 1 or more.
        labels: of the classes.
        embedder: None where there is none.
        reason: why there is none.
    """

    count: int
    labels: tuple[str, ...]
    embedder: Penultimate | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of the reference.

    Attributes:
        file: its thumbnail.
        name: as the data calls it.
        label: of the true class; of independent labels all, with | between.
        answer: the label that the model answered, likewise.
        confidence: of the answer.
    """

    file: str
    name: str
    label: str
    answer: str
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What is written.

    Attributes:
        samples: in the order of the rows of ``embeddings``.
        thumbnails: PNG files.
        embeddings: float32 [samples, values], or None.
        layer: whose output they are.
        reason: why there are none.
    """

    samples: tuple[Sample, ...]
    thumbnails: tuple[bytes, ...]
    embeddings: Array | None
    layer: str
    reason: str

    @property
    def summary(self) -> str:
        """What there is, in one line."""
        counted = f"{len(self.samples)} thumbnails"
        if self.embeddings is None:
            return f"{counted}; {self.reason}"
        return f'{counted}, embeddings of {self.embeddings.shape[1]} values: layer "{self.layer}"'


def samples_of(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    signals: Signals,
    wanted: WantedSamples,
) -> Samples:
    """Looks again at some of the pictures, spread evenly over the classes.

    Args:
        recipe: makes their rows.
        pictures: all of them.
        signals: the answers to all of them.
        wanted: how many, and what with them.

    Raises:
        InvalidData: a picture changed meanwhile.
    """
    by_class = sorted(range(len(pictures)), key=lambda place: _classes(pictures[place]))
    places = spread(by_class, wanted.count)
    labels, embedder = wanted.labels, wanted.embedder
    samples: list[Sample] = []
    thumbnails: list[bytes] = []
    embeddings: list[Array] = []
    for number, place in enumerate(places):
        picture = pictures[place]
        try:
            decoded = recipe.picture(picture.read())
            row = recipe.row(decoded)
        except (InvalidInput, OSError) as fault:
            raise InvalidData([f"{picture.name}: changed meanwhile: {fault}"]) from fault
        answer = _named(_answered(signals, place), labels)
        confidence = float(signals.values["confidence"][place])
        label = _named(_classes(picture), labels)
        samples.append(Sample(f"{number:04}.png", picture.name, label, answer, confidence))
        thumbnails.append(thumbnail_png(decoded, THUMBNAIL_PIXELS))
        if embedder is not None:
            embeddings.append(embedder(row[np.newaxis]))
    return Samples(
        samples=tuple(samples),
        thumbnails=tuple(thumbnails),
        embeddings=np.concatenate(embeddings) if embeddings else None,
        layer="" if embedder is None else embedder.layer,
        reason=wanted.reason,
    )


def _classes(picture: LabelledPicture) -> tuple[int, ...]:
    return (picture.class_index,) if picture.labels is None else picture.labels


def _answered(signals: Signals, place: int) -> tuple[int, ...]:
    if signals.chosen is None:
        return (int(signals.classes[place]),)
    return tuple(np.flatnonzero(signals.chosen[place]).tolist())


def _named(classes: tuple[int, ...], labels: tuple[str, ...]) -> str:
    return "|".join(labels[each] for each in classes)


def check_replaceable(folder: Path) -> None:
    """Returns when the folder is not there, or was written by ``write_samples``.

    Raises:
        ValueError: it is something else, which is never deleted.
    """
    if folder.exists() and not (folder / SAMPLES_FILE).is_file():
        raise ValueError(f"{folder}: exists and holds no {SAMPLES_FILE}, so it is not replaced")


def write_samples(samples: Samples, folder: Path) -> None:
    """Writes the folder, in place of an older one.

    Raises:
        ValueError: see ``check_replaceable``.
        OSError: it cannot be written.
    """
    check_replaceable(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".reference-") as scratch:
        fresh = Path(scratch) / folder.name
        fresh.mkdir()
        for sample, thumbnail in zip(samples.samples, samples.thumbnails, strict=True):
            (fresh / sample.file).write_bytes(thumbnail)
        listed = {"layer": samples.layer, "note": samples.reason}
        lines = ",\n".join(f"    {json.dumps(asdict(sample))}" for sample in samples.samples)
        head = json.dumps(listed)[1:-1]
        text = f'{{{head}, "samples": [\n{lines}\n]}}\n'
        (fresh / SAMPLES_FILE).write_text(text, encoding="utf-8")
        if samples.embeddings is not None:
            np.save(fresh / EMBEDDINGS_FILE, samples.embeddings, allow_pickle=False)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.replace(folder)
