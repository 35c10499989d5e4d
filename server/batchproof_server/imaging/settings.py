"""The ``[recipe]`` table: what may be written, and what it comes to."""

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.errors import cut
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.presets import PRESETS, Color, DecoderName, Preset
from batchproof_server.imaging.resize import (
    ResizePlan,
    ResizeSettings,
    check_short_side,
    resize_plan,
)

Format: TypeAlias = Literal["jpeg", "png", "webp", "bmp", "gif"]
Orientation: TypeAlias = Literal["apply", "ignore"]
Layout: TypeAlias = Literal["channels_last", "channels_first"]
DType: TypeAlias = Literal["float32", "uint8"]

_ACCURATE_FORMATS: tuple[Format, ...] = ("bmp", "gif", "jpeg", "png", "webp")
# Those that keras.utils.image_dataset_from_directory accepts, and that tf.io.decode_image can
# turn into grey levels. It reads WebP too, but nobody trained with it unless they say so.
_FAST_FORMATS: tuple[Format, ...] = ("bmp", "gif", "jpeg", "png")
_FAST_GREY_FORMATS: tuple[Format, ...] = ("jpeg", "png")


@dataclass(frozen=True, slots=True)
class RecipeSettings:
    """The table as it is written. A given key wins over the preset's, and that over the default.

    ``resize`` is merged key by key. ``normalize`` replaces the preset's as a whole; an empty table
    switches it off.

    Attributes:
        preset: a name of ``presets.PRESETS``.
        formats: accepted file formats; by default all that the decoder reads.
        decoder: ``accurate`` is Pillow and the default; ``tensorflow-fast`` ``tf.io.decode_image``.
        color: channels of the row and their order; by default rgb.
        orientation: whether the EXIF orientation is applied; by default ignored, as in Keras.
        resize: None, without a preset, leaves the size alone: the picture must have the model's.
        normalize: None, without a preset, leaves the levels 0..255 alone.
        dtype: of the row; by default float32.
        layout: ``channels_first`` for a model whose input is [channels, height, width]; by default
            ``channels_last``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    preset: str | None = None
    formats: tuple[Format, ...] | None = None
    decoder: DecoderName | None = None
    color: Color | None = None
    orientation: Orientation | None = None
    resize: ResizeSettings | None = None
    normalize: NormalizeSettings | None = None
    dtype: DType | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        recipe_plan(self)


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """The table with every key decided, except a size that is left to the model.

    Attributes: as ``RecipeSettings``; ``formats`` are sorted, and ``normalize`` is None where it
    would change nothing.
    """

    formats: tuple[Format, ...]
    decoder: DecoderName
    color: Color
    orientation: Orientation
    resize: ResizePlan | None
    normalize: NormalizeSettings | None
    dtype: DType
    layout: Layout = "channels_last"

    @property
    def channels(self) -> int:
        """Channels of the row: 1 or 3."""
        return 1 if self.color == "grayscale" else 3


def recipe_plan(written: RecipeSettings) -> RecipePlan:
    """Decides what is not written.

    Raises:
        ValueError: the preset is unknown, a key is missing, or keys contradict each other.
    """
    preset = _preset(written.preset)
    decoder = written.decoder or (preset.decoder if preset else "accurate")
    color = written.color or (preset.color if preset else "rgb")
    plan = RecipePlan(
        formats=_formats(written, decoder, color),
        decoder=decoder,
        color=color,
        orientation=written.orientation or "ignore",
        resize=_resize(written.resize, preset),
        normalize=_normalize(written.normalize, preset),
        dtype=written.dtype or "float32",
        layout=written.layout or "channels_last",
    )
    _check_channels(plan)
    _check_dtype(plan)
    return plan


def settings_of(plan: RecipePlan) -> RecipeSettings:
    """The table that comes to this plan, with every key written."""
    resize = plan.resize
    return RecipeSettings(
        formats=plan.formats,
        decoder=plan.decoder,
        color=plan.color,
        orientation=plan.orientation,
        resize=None if resize is None else ResizeSettings(**asdict(resize)),
        normalize=plan.normalize,
        dtype=plan.dtype,
        layout=plan.layout,
    )


def _preset(name: str | None) -> Preset | None:
    if name is None:
        return None
    if name not in PRESETS:
        raise ValueError(f'preset: unknown "{cut(name)}", one of {", ".join(PRESETS)}')
    return PRESETS[name]


def _formats(written: RecipeSettings, decoder: DecoderName, color: Color) -> tuple[Format, ...]:
    if written.formats is None:
        return readable_formats(decoder, color)
    readable = _ACCURATE_FORMATS if color != "grayscale" else readable_formats(decoder, color)
    if not written.formats:
        raise ValueError("formats is empty, expected one or more")
    for name in written.formats:
        if name not in readable:
            raise ValueError(f'formats: the decoder "{decoder}" cannot read {name} as {color}')
    return tuple(sorted(set(written.formats)))


def readable_formats(decoder: DecoderName, color: Color) -> tuple[Format, ...]:
    """The file formats of a decoder where none are named."""
    if decoder == "accurate":
        return _ACCURATE_FORMATS
    return _FAST_GREY_FORMATS if color == "grayscale" else _FAST_FORMATS


def _resize(written: ResizeSettings | None, preset: Preset | None) -> ResizePlan | None:
    if preset is not None:
        written = (written or ResizeSettings()).over(preset.resize)
    if written is None:
        return None
    plan = resize_plan(written)
    check_short_side(plan)
    return plan


def _normalize(
    written: NormalizeSettings | None, preset: Preset | None
) -> NormalizeSettings | None:
    chosen = written
    if chosen is None and preset is not None:
        chosen = preset.normalize
    return None if chosen is None or chosen.changes_nothing else chosen.with_floats()


def _check_channels(plan: RecipePlan) -> None:
    lengths = {
        "normalize.mean": plan.normalize and plan.normalize.mean,
        "normalize.std": plan.normalize and plan.normalize.std,
        "resize.pad_color": plan.resize and plan.resize.pad_color,
    }
    for key, values in lengths.items():
        if values and len(values) not in (1, plan.channels):
            raise ValueError(
                f'{key} has {len(values)} values, the color "{plan.color}" {plan.channels}'
            )


def _check_dtype(plan: RecipePlan) -> None:
    if plan.dtype != "uint8":
        return
    if plan.normalize is not None:
        raise ValueError('dtype is "uint8", which cannot hold normalized values')
    if plan.resize is not None and plan.resize.rounding == "none":
        raise ValueError('dtype is "uint8", which needs resize.rounding = "uint8"')
