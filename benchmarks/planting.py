"""The faults that ``diagnosis.py`` plants: each is what somebody else's program would do."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import Given
from batchproof_server.imaging.normalize import NormalizeSettings, normalize_in_place
from batchproof_server.imaging.settings import RecipePlan
from batchproof_server.offline.diagnosing.modes import Modal

NOTHING: Final = "nothing"
_ORIENTATION_TAG, _QUARTER_TURN = 0x0112, 6
_RESAMPLING: Final = {
    "nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX, "area": Image.Resampling.BOX, "hamming": Image.Resampling.HAMMING,
}  # fmt: skip
_GLYPHS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CIFAR: Final = NormalizeSettings(
    divisor=255.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
)


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """One faulty case.

    Attributes:
        encoded: the picture.
        given: by the caller.
        expected: the cause, or what it begins with.
    """

    encoded: bytes
    given: Given
    expected: str


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What faults are planted in.

    Attributes:
        plan: of the declared recipe.
        height: of the row, pixels.
        width: of the row, pixels.
        source: the model with its modes; None where it is no Keras file.
        input_name: of the model.
        output_name: of the scores.
        centroids: of the other model, [classes, n].
        random: of this run.
    """

    plan: RecipePlan
    height: int
    width: int
    source: Modal | None
    input_name: str
    output_name: str
    centroids: Array
    random: np.random.Generator

    @property
    def mode(self) -> str:
        """Of Pillow."""
        return "L" if self.plan.color == "grayscale" else "RGB"

    def tensor(
        self, image: Image.Image, *, policy: str = "", method: str = "",
        normalize: NormalizeSettings | None = None, swapped: bool = False,
    ) -> Array:  # fmt: skip
        """The input by Pillow and numpy alone, with what is said done otherwise."""
        resize = self.plan.resize
        filtered = _RESAMPLING[method or (resize.method if resize else "bilinear")]
        levels = np.asarray(self._sized(image, policy, filtered), np.float32)
        levels = levels[..., np.newaxis] if levels.ndim == 2 else levels  # noqa: PLR2004 - axes
        if (self.plan.color == "bgr") != swapped:
            levels = levels[..., ::-1]
        settings = normalize or self.plan.normalize or NormalizeSettings()
        return normalize_in_place(np.array(levels), settings)

    def _sized(self, image: Image.Image, policy: str, filtered: Image.Resampling) -> Image.Image:
        made = image.resize(self.resized(image, policy), filtered)
        left, top = (round((a - b) / 2) for a, b in zip(made.size, self._size, strict=True))
        return made.crop((left, top, left + self.width, top + self.height))

    def resized(self, image: Image.Image, policy: str = "") -> tuple[int, int]:
        """Width and height before the cut, rounded as torchvision does."""
        resize = self.plan.resize
        if (policy or (resize.policy if resize else "stretch")) == "stretch":
            return self._size
        short = (resize.short_side if resize and not policy else None) or round(self.width * 8 / 7)
        long = int(short * max(image.size) / min(image.size))
        return (short, long) if image.width <= image.height else (long, short)

    @property
    def _size(self) -> tuple[int, int]:
        return self.width, self.height


Plant = Callable[[Field, Image.Image], Planted | None]


def encoded(image: Image.Image, *, turned: bool = False) -> bytes:
    """A PNG file; one that asks to be turned by a quarter."""
    file = io.BytesIO()
    exif = Image.Exif()
    if turned:
        exif[_ORIENTATION_TAG] = _QUARTER_TURN
    image.save(file, "PNG", **({"exif": exif} if turned else {}))
    return file.getvalue()


def large(field: Field, image: Image.Image) -> Image.Image:
    """The picture with more pixels than the row and another aspect ratio."""
    least = 2
    if min(image.size) >= least * max(field.width, field.height) and image.width != image.height:
        return image
    return image.resize((field.width * 4, field.height * 3), Image.Resampling.BICUBIC)


def bgr(field: Field, image: Image.Image) -> Planted | None:
    """BGR for RGB."""
    if field.mode == "L":
        return None
    return Planted(encoded(image), Given(tensor=field.tensor(image, swapped=True)), "color:")


def policy(field: Field, image: Image.Image) -> Planted:
    """Stretched instead of cropped, or the other way round."""
    image = large(field, image)
    declared = field.plan.resize.policy if field.plan.resize else "stretch"
    other = "crop" if declared == "stretch" else "stretch"
    return Planted(encoded(image), Given(tensor=field.tensor(image, policy=other)), "policy:")


def scaling(field: Field, image: Image.Image) -> Planted:
    """/255 instead of /127.5 - 1, or the other way round."""
    unit = NormalizeSettings(divisor=255.0)
    symmetric = NormalizeSettings(divisor=127.5, offset=-1.0)
    black = np.zeros((1, 1, field.plan.channels), np.float32)
    declared = normalize_in_place(black, field.plan.normalize or NormalizeSettings())
    is_unit = abs(float(declared.max())) < 1e-6  # noqa: PLR2004 - rounding
    tensor = field.tensor(image, normalize=symmetric if is_unit else unit)
    expected = "scaling:symmetric" if is_unit else "scaling:unit"
    return Planted(encoded(image), Given(tensor=tensor), expected)


def statistics(field: Field, image: Image.Image) -> Planted:
    """Mean and std of another data set."""
    normalize = _CIFAR
    if field.mode == "L":
        normalize = NormalizeSettings(divisor=255.0, mean=(0.1307,), std=(0.3081,))
    expected = "scaling:mnist" if field.mode == "L" else "scaling:cifar10"
    return Planted(encoded(image), Given(tensor=field.tensor(image, normalize=normalize)), expected)


def nearest(field: Field, image: Image.Image) -> Planted:
    """Nearest instead of another filter."""
    image = large(field, image)
    method = "bicubic" if field.plan.resize and field.plan.resize.method == "nearest" else "nearest"
    given = Given(tensor=field.tensor(image, method=method))
    return Planted(encoded(image), given, f"filter:{method}")


def orientation(field: Field, image: Image.Image) -> Planted:
    """EXIF orientation treated otherwise than declared."""
    upright = image.transpose(Image.Transpose.ROTATE_270)
    ignored = field.plan.orientation == "apply"
    tensor = field.tensor(image if ignored else upright)
    expected = "orientation:ignore" if ignored else "orientation:apply"
    return Planted(encoded(image, turned=True), Given(tensor=tensor), expected)


def noise(field: Field, image: Image.Image) -> Planted:
    """Normal noise with a standard deviation of 25 levels, at the size that the recipe makes."""
    small = np.asarray(image.resize(field.resized(image)), np.float64)
    noisy = np.clip(small + field.random.normal(0, 25, small.shape), 0, 255).astype(np.uint8)
    return Planted(encoded(Image.fromarray(noisy)), Given(), "picture:noise")


def rotation(field: Field, image: Image.Image) -> Planted:
    """Turned by 30 degrees either way, its edge repeated."""
    pixels = np.asarray(image)
    reach = max(image.size)
    pads = [(reach, reach), (reach, reach), *[(0, 0)] * (pixels.ndim - 2)]
    degrees = 30.0 if field.random.random() < 0.5 else -30.0  # noqa: PLR2004 - a fair coin
    wide = Image.fromarray(np.pad(pixels, pads, mode="edge"))
    turned = wide.rotate(degrees, Image.Resampling.BICUBIC)
    box = (reach, reach, reach + image.width, reach + image.height)
    return Planted(encoded(turned.crop(box)), Given(), "picture:turned")


def dark(_field: Field, image: Image.Image) -> Planted:
    """Light times 0.3."""
    return Planted(encoded(image.point(lambda level: level * 0.3)), Given(), "picture:dark")


def unknown(field: Field, image: Image.Image) -> Planted:
    """A letter or a digit."""
    glyph = str(field.random.choice(list(_GLYPHS)))
    side = max(image.size)
    ink, ground = (255, 0) if field.mode == "L" else ((230, 40, 40), (30, 90, 160))
    drawn = Image.new(field.mode, (side, side), ground)
    font = ImageFont.load_default(size=round(side * field.random.uniform(0.65, 0.9)))
    ImageDraw.Draw(drawn).text((side / 2, side / 2), glyph, fill=ink, font=font, anchor="mm")
    return Planted(encoded(drawn), Given(), "picture:unknown")


def training_mode(field: Field, image: Image.Image) -> Planted | None:
    """The model in training mode, this picture alone."""
    if field.source is None:
        return None
    row = field.tensor(image)[np.newaxis]
    outputs = field.source.in_training_mode({field.input_name: row}, statistics=True, dropout=True)
    scores = outputs[field.output_name][0].astype(np.float64)
    return Planted(encoded(image), Given(scores=scores), "mode:training")


def other_model(field: Field, image: Image.Image) -> Planted:
    """Another model's scores: nearest centroids of the pixels."""
    apart = ((field.centroids - thumbnail(image)) ** 2).sum(axis=1)
    shares = np.exp(-(apart - apart.min()) / 8)
    return Planted(encoded(image), Given(scores=shares / shares.sum()), "model:other")


def thumbnail(image: Image.Image) -> Array:
    """What the other model looks at: float64 [256], 0 to 1."""
    small = np.asarray(image.convert("L").resize((16, 16)), np.float64)
    flat: Array = small.reshape(-1) / 255
    return flat


def right(field: Field, image: Image.Image) -> Planted:
    """No fault: the caller's tensor is the recipe's."""
    return Planted(encoded(image), Given(tensor=field.tensor(image)), NOTHING)


KINDS: Final[Sequence[tuple[str, Plant]]] = (
    ("BGR for RGB", bgr), ("stretch for crop", policy), ("/127.5-1 for /255", scaling),
    ("mean and std", statistics), ("nearest filter", nearest), ("EXIF orientation", orientation),
    ("noise sd 25", noise), ("turned 30 degrees", rotation), ("light x 0.3", dark),
    ("unknown class", unknown), ("training mode", training_mode), ("another model", other_model),
)  # fmt: skip
"""The twelve."""
