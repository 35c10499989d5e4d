"""``noise:0.2,rotate:15@50%``: pictures made worse on purpose, to see drift being noticed.

Each step changes the picture of its share of the requests, independently of the others.
"""

import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from batchproof_client.errors import LocalInputError
from batchproof_client.loadtest.extra import needed

if TYPE_CHECKING:
    from PIL import Image as PillowImage

Pixels: TypeAlias = npt.NDArray[np.uint8]
_MOST_CHANCES: Final = 6  # steps with a share: each doubles the number of variants
_FULL_RANGE: Final = 255.0
_JPEG_QUALITY: Final = 95
_LEVELS_OF_8_BITS: Final = 256
_ORIENTATION: Final = 0x0112  # the tag of EXIF
_ORIENTATIONS: Final = tuple(range(1, 9))


@dataclass(frozen=True, slots=True)
class Step:
    """One way to spoil a picture.

    Attributes:
        kind: a key of ``KINDS``.
        amount: what it means is said there.
        share: of the requests, above 0 and at most 1.
    """

    kind: str
    amount: float
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'"{self.kind}" is unknown, expected one of {", ".join(KINDS)}')
        low, high = KINDS[self.kind].bounds
        if not low <= self.amount <= high:
            raise ValueError(f"{self.kind} is {self.amount:g}, expected {low:g} to {high:g}")
        if not 0 < self.share <= 1:
            raise ValueError(f"{self.kind} has the share {self.share:.0%}, expected 0 to 100 %")


@dataclass(frozen=True, slots=True)
class Variant:
    """The steps that one request suffers.

    Attributes:
        steps: in order; none for the picture as it is.
        share: of the requests.
    """

    steps: tuple[Step, ...]
    share: float

    @property
    def name(self) -> str:
        """Empty for the picture as it is."""
        return "+".join(f"{step.kind}:{step.amount:g}" for step in self.steps)


def parse_corruption(text: str) -> tuple[Step, ...]:
    """Reads ``KIND:AMOUNT[@SHARE%]``, separated by commas.

    Raises:
        LocalInputError: it does not parse.
    """
    steps = tuple(_step(part.strip(), text) for part in text.split(","))
    if sum(step.share < 1 for step in steps) > _MOST_CHANCES:
        raise LocalInputError(
            f'corruption "{text}" has a share in more than {_MOST_CHANCES} steps,'
            f" expected {_MOST_CHANCES} at most"
        )
    return steps


def _step(part: str, whole: str) -> Step:
    kind, _, rest = part.partition(":")
    amount, mark, share = rest.partition("@")
    try:
        return Step(kind, float(amount), float(share.removesuffix("%")) / 100 if mark else 1.0)
    except ValueError as fault:
        reason = str(fault) if kind in KINDS and "convert" not in str(fault) else ""
        raise LocalInputError(f'corruption "{whole}": {reason or _expected(part)}') from None


def _expected(part: str) -> str:
    return f'"{part}" is not KIND:AMOUNT[@SHARE%] with one of {", ".join(KINDS)}'


def variants(steps: tuple[Step, ...]) -> Iterator[Variant]:
    """Yields every combination of the steps that may meet, with its share; they add up to 1."""
    choices = [((step,),) if step.share == 1 else ((step,), ()) for step in steps]
    for chosen in itertools.product(*choices):
        share = math.prod(
            step.share if taken else 1 - step.share
            for step, taken in zip(steps, chosen, strict=True)
        )
        yield Variant(tuple(itertools.chain.from_iterable(chosen)), share)


def corrupted(content: bytes, steps: tuple[Step, ...], seed: int) -> bytes:
    """Spoils an encoded picture; a JPEG stays one, everything else becomes a PNG.

    Its EXIF orientation stays with it; it is for the server to heed.

    Args:
        content: of the file.
        steps: in order.
        seed: of the noise.

    Raises:
        LocalInputError: the picture cannot be decoded, or Pillow is not installed.
    """
    if not steps:
        return content
    rng = np.random.default_rng(seed)
    decoded = _decoded(content)
    picture = decoded.picture
    for step in steps:
        picture = KINDS[step.kind].change(picture, step.amount, rng)
    written = io.BytesIO()
    if decoded.picture_format == "JPEG":
        picture.save(written, "JPEG", quality=_JPEG_QUALITY, exif=decoded.exif)
    else:
        picture.save(written, "PNG", compress_level=1, exif=decoded.exif)
    return written.getvalue()


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Grey or RGB, 8 bits a channel; ``exif`` holds its orientation, or nothing."""

    picture: "PillowImage.Image"
    picture_format: str
    exif: bytes


def _decoded(content: bytes) -> _Decoded:
    with needed():
        from PIL import Image  # noqa: PLC0415 - the extra is optional
    try:
        with Image.open(io.BytesIO(content)) as opened:
            orientation = opened.getexif().get(_ORIENTATION)
            return _Decoded(_of_8_bits(opened), str(opened.format), _exif(orientation))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        raise LocalInputError("cannot be decoded as a picture") from fault


def _of_8_bits(opened: Any) -> Any:
    if opened.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        return _picture(np.asarray(opened).astype(np.float32) // _LEVELS_OF_8_BITS)
    return opened.convert("L" if opened.mode in {"1", "L"} else "RGB")


def _exif(orientation: object) -> bytes:
    from PIL import Image  # noqa: PLC0415 - decoded before

    if orientation not in _ORIENTATIONS:
        return b""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif.tobytes()


Change: TypeAlias = "Callable[[Any, float, np.random.Generator], Any]"


def _noise(picture: Any, amount: float, rng: np.random.Generator) -> Any:
    pixels = np.asarray(picture, dtype=np.float32)
    return _picture(pixels + rng.normal(0, amount * _FULL_RANGE, pixels.shape).astype(np.float32))


def _rotate(picture: Any, amount: float, _rng: np.random.Generator) -> Any:
    from PIL import Image  # noqa: PLC0415 - decoded before

    return picture.rotate(amount, resample=Image.Resampling.BILINEAR)


def _blur(picture: Any, amount: float, _rng: np.random.Generator) -> Any:
    from PIL import ImageFilter  # noqa: PLC0415 - decoded before

    return picture.filter(ImageFilter.GaussianBlur(amount))


def _brightness(picture: Any, amount: float, _rng: np.random.Generator) -> Any:
    return _picture(np.asarray(picture, dtype=np.float32) * np.float32(amount))


def _contrast(picture: Any, amount: float, _rng: np.random.Generator) -> Any:
    pixels = np.asarray(picture, dtype=np.float32)
    mean = pixels.mean()
    return _picture(mean + (pixels - mean) * np.float32(amount))


def _jpeg(picture: Any, amount: float, _rng: np.random.Generator) -> Any:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=round(amount))
    return _decoded(written.getvalue()).picture


def _picture(pixels: npt.NDArray[np.float32]) -> Any:
    from PIL import Image  # noqa: PLC0415 - decoded before

    return Image.fromarray(np.rint(pixels.clip(0, _FULL_RANGE)).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Kind:
    """How to spoil a picture.

    Attributes:
        change: picture, amount and generator of random numbers to picture.
        bounds: of the amount.
        meaning: of the amount.
    """

    change: Change
    bounds: tuple[float, float]
    meaning: str


KINDS: Final[Mapping[str, Kind]] = {
    "noise": Kind(_noise, (0, 1), "standard deviation, as a share of the full range"),
    "rotate": Kind(_rotate, (-360, 360), "degrees counter-clockwise"),
    "blur": Kind(_blur, (0, 100), "radius in pixels"),
    "brightness": Kind(_brightness, (0, 10), "factor"),
    "contrast": Kind(_contrast, (0, 10), "factor"),
    "jpeg": Kind(_jpeg, (1, 95), "quality"),
}
