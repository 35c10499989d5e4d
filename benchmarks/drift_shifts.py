"""Labelled pictures, fifteen shifts of them and milder ones, and what a bundle answers to each."""

import io
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from batchproof_server.application.config import Config
from batchproof_server.base.signature import Array
from batchproof_server.commands.certify.command import only_bundle
from batchproof_server.commands.serving import serve_version
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import Signals
from batchproof_server.drift.summarising import ProfiledModel, summarise
from batchproof_server.models.loaded import profiled_labels
from batchproof_server.offline.datasets.pictures import LabelledPicture, truth_of
from batchproof_server.offline.reference_profile.answering import Answering, RecordKeeper

ROOT: Final = Path(__file__).resolve().parents[1]
GARMENTS: Final = ROOT / "examples/garments"
GARMENTS_BUNDLE: Final = GARMENTS / "models/garments/1"
FASHION_BUNDLE: Final = ROOT / "examples/fashion_mnist/models/fashion-mnist/1"
SEED: Final = 1905
SHOES: Final = (5, 7, 9)

sys.path.insert(0, str(GARMENTS))
from drawing import open_studio  # noqa: E402 - an example beside the package

Change: TypeAlias = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Shift:
    """One way in which pictures may be unlike the reference.

    Attributes:
        name: of it.
        change: of a picture; None leaves them as they are.
        quality: of the JPEG file that is sent; 0 sends the pixels as they are.
        kept_shoes: the share of the shoes that are still sent.
        is_wrong_recipe: whether the levels come unscaled, because the recipe is wrong.
        needs_colour: whether it does nothing to grey pictures.
    """

    name: str
    change: Change | None = None
    quality: int = 0
    kept_shoes: float = 1.0
    is_wrong_recipe: bool = False
    needs_colour: bool = False


def _levels(picture: Image.Image, change: Callable[[Array], Array]) -> Image.Image:
    changed = change(np.asarray(picture, np.float64)).clip(0, 255)
    return Image.fromarray(np.rint(changed).astype(np.uint8))


def light(*gains: float) -> Change:
    """Light of another colour multiplies each channel."""
    return lambda picture, _random: _levels(picture, lambda levels: levels * np.array(gains))


def times(factor: float) -> Change:
    """Darker or brighter."""
    return lambda picture, _random: _levels(picture, lambda levels: levels * factor)


def noise(amount: float) -> Change:
    """Of a standard deviation that is a share of the full range."""
    return lambda picture, random: _levels(
        picture, lambda levels: levels + random.normal(0, amount * 255, levels.shape)
    )


def contrast(factor: float) -> Change:
    """About the mean of the picture."""
    return lambda picture, _random: _levels(
        picture, lambda levels: levels.mean() + factor * (levels - levels.mean())
    )


def _grey(picture: Image.Image, _random: np.random.Generator) -> Image.Image:
    return picture.convert("L").convert("RGB")


def blur(share: float) -> Change:
    """With a radius that is a share of the short side."""
    return lambda picture, _random: picture.filter(
        ImageFilter.GaussianBlur(share * min(picture.size))
    )


def rotated(degrees: float) -> Change:
    """Counter-clockwise."""
    return lambda picture, _random: picture.rotate(degrees, Image.Resampling.BILINEAR)


def _upside_down(picture: Image.Image, _random: np.random.Generator) -> Image.Image:
    return picture.transpose(Image.Transpose.ROTATE_180)


def nearer(share: float) -> Change:
    """Without such a share of each side on either end."""

    def cut(picture: Image.Image, _random: np.random.Generator) -> Image.Image:
        left, top = (round(share * side) for side in picture.size)
        return picture.crop((left, top, picture.width - left, picture.height - top))

    return cut


CLEAN: Final = Shift("none")
SHIFTS: Final = (
    Shift("noise 0.1", noise(0.1)),
    Shift("blur", blur(1 / 60)),
    Shift("JPEG 30", quality=30),
    Shift("JPEG 10", quality=10),
    Shift("greyscale", _grey, needs_colour=True),
    Shift("warm light", light(1.15, 1, 0.85), needs_colour=True),
    Shift("green light", light(0.9, 1.1, 0.9), needs_colour=True),
    Shift("light x 0.3", times(0.3)),
    Shift("light x 1.5", times(1.5)),
    Shift("contrast x 0.5", contrast(0.5)),
    Shift("rotated by 20", rotated(20)),
    Shift("upside down", _upside_down),
    Shift("nearer by a third", nearer(1 / 6)),
    Shift("a tenth of the shoes", kept_shoes=0.1),
    Shift("unscaled levels", is_wrong_recipe=True),
)
MILD_SHIFTS: Final = (
    Shift("noise 0.03", noise(0.03)),
    Shift("slight blur", blur(1 / 150)),
    Shift("JPEG 70", quality=70),
    Shift("warmer light", light(1.04, 1, 0.96), needs_colour=True),
    Shift("light x 0.85", times(0.85)),
    Shift("contrast x 0.9", contrast(0.9)),
    Shift("rotated by 7", rotated(7)),
    Shift("nearer by a tenth", nearer(1 / 20)),
    Shift("half of the shoes", kept_shoes=0.5),
)
"""Most of these withhold nothing."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled pictures, upright and decoded when they are asked for.

    Attributes:
        files: encoded.
        labels: int64 [pictures].
        garments: int64 [pictures]; pictures of the same garment belong to the same part.
    """

    files: Sequence[bytes]
    labels: NDArray[np.int64]
    garments: NDArray[np.int64]

    def take(self, places: Sequence[int] | NDArray[np.intp]) -> "Pictures":
        """Some of them."""
        files = [self.files[place] for place in places]
        return Pictures(files, self.labels[places], self.garments[places])

    def shifted(self, shift: Shift) -> tuple[LabelledPicture, ...]:
        """As they are sent under a shift; each is made when it is read."""
        random = np.random.default_rng(SEED)
        shoes = np.isin(self.labels, SHOES)
        kept = np.flatnonzero(~shoes | (random.random(len(shoes)) < shift.kept_shoes))
        return tuple(
            LabelledPicture(str(place), int(self.labels[place]), partial(self._sent, shift, place))
            for place in kept.tolist()
        )

    def _sent(self, shift: Shift, place: int) -> bytes:
        content = self.files[place]
        if shift.change is None and not shift.quality:
            return content
        with Image.open(io.BytesIO(content)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("L" if opened.mode == "L" else "RGB")
        if shift.change is not None:
            picture = shift.change(picture, np.random.default_rng((SEED, place)))
        file = io.BytesIO()
        if shift.quality:
            picture.save(file, "JPEG", quality=shift.quality)
        else:
            picture.save(file, "PNG", compress_level=1)
        return file.getvalue()


def drawn_garments(file: Path, times_each: int) -> Pictures:
    """Every garment of an ``.npz`` file, photographed so many times, each in its own way."""
    images, labels = _garments(file)
    studio = open_studio(SEED)
    files = [
        studio.photograph(images[place], int(labels[place]))
        for _ in range(times_each)
        for place in range(len(labels))
    ]
    return Pictures(files, np.tile(labels, times_each), np.tile(np.arange(len(labels)), times_each))


def grey_garments(file: Path) -> Pictures:
    """Every garment of an ``.npz`` file as it is there: 28 x 28, light on black."""
    images, labels = _garments(file)
    files = []
    for image in images:
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "PNG")
        files.append(encoded.getvalue())
    return Pictures(files, labels, np.arange(len(labels)))


def _garments(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(file) as garments:
        return garments["images"], garments["labels"].astype(np.int64)


def halves(pictures: Pictures, seed: int = SEED) -> tuple[Pictures, Pictures]:
    """Cut in two at random, all pictures of a garment in one half."""
    garments = np.random.default_rng(seed).permutation(np.unique(pictures.garments))
    is_first = np.isin(pictures.garments, garments[: len(garments) // 2])
    return pictures.take(np.flatnonzero(is_first)), pictures.take(np.flatnonzero(~is_first))


@dataclass(frozen=True, eq=False)
class Answered:
    """The signals of some pictures, and what they are.

    Attributes:
        signals: of the answers.
        truth: int64 [pictures].
    """

    signals: Signals
    truth: Array

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float((self.signals.classes == self.truth).mean())

    def take(self, places: Array) -> "Answered":
        """Some of them."""
        known = self.signals
        values = {name: each[places] for name, each in known.values.items()}
        signals = Signals(known.classes[places], values, known.log_probabilities[places])
        return Answered(signals, self.truth[places])

    def profile(self, labels: tuple[str, ...]) -> ReferenceProfile:
        """The reference that they make."""
        return summarise(ProfiledModel("00" * 32, "00" * 32, labels), self.signals, self.truth)


async def answered(
    config: Config, bundle: Path, streams: Mapping[str, tuple[LabelledPicture, ...]]
) -> tuple[dict[str, Answered], tuple[str, ...]]:
    """The answers to some streams of pictures by name, and the labels of the classes."""
    records = RecordKeeper()
    async with serve_version(config, only_bundle(bundle), records, watches_inputs=True) as serving:
        loaded = serving.model.loaded
        answering = Answering(serving.model, serving.core.predict, records)
        found = {}
        for name, pictures in streams.items():
            signals = await answering.collect_signals(pictures, lambda _done: None)
            found[name] = Answered(signals, truth_of(pictures, loaded.classes))
            print(f"  {bundle.parent.name}, {name}: {found[name].accuracy:.1%}", file=sys.stderr)
        return found, profiled_labels(loaded)


def unscaled(bundle: Path, directory: Path) -> Path:
    """A copy whose recipe leaves the levels as they are."""
    copy = directory / bundle.parent.name / bundle.name
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("profile.json", "certificate.json"))
    manifest = copy / "batchproof.toml"
    lines = manifest.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("normalize")]
    if len(kept) == len(lines):
        raise RuntimeError(f"{manifest}: no line begins with normalize")
    manifest.write_text("".join(kept))
    return copy


def shifts_for(*, in_colour: bool) -> Iterator[Shift]:
    """Those that do anything to such pictures."""
    every = (*SHIFTS, *MILD_SHIFTS)
    return (shift for shift in every if in_colour or not shift.needs_colour)
