"""What a model's outputs and its recipe are likely to be, with the reason. Pure.

A guess is where to begin, not a proof: `evaluate` on labelled pictures shows whether it is right.
"""

import re
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from batchproof_server.backends.source import Anatomy
from batchproof_server.base.output import OutputKind
from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.presets import PRESETS, Color
from batchproof_server.imaging.resize import ResizeMethod, ResizeSettings
from batchproof_server.imaging.settings import DType, Layout, RecipeSettings

# What keras.applications calls its models, by the module whose preprocess_input belongs to them.
_FAMILIES: Final = (
    (r"efficientnetv2", "efficientnet_v2"),
    (r"efficientnet", "efficientnet"),
    (r"convnext", "convnext"),
    (r"densenet", "densenet"),
    (r"inception_resnet_v2", "inception_resnet_v2"),
    (r"inception_v3", "inception_v3"),
    (r"mobilenetv3", "mobilenet_v3"),
    (r"mobilenetv2", "mobilenet_v2"),
    (r"mobilenet", "mobilenet"),
    (r"nasnet", "nasnet"),
    (r"resnet\d+v2", "resnet_v2"),
    (r"resnet", "resnet"),
    (r"vgg16", "vgg16"),
    (r"vgg19", "vgg19"),
    (r"xception", "xception"),
)
NO_SCALING: Final = "nothing in the model says how pictures were scaled in training"
_PICTURE_AXES: Final = 3
_COLOURS: Final = 3
_CHANNELS: Final = (1, _COLOURS)
_METHODS: Final[dict[str, ResizeMethod]] = {
    "bilinear": "bilinear",
    "nearest": "nearest",
    "bicubic": "bicubic",
}
_INNER_SIZE: Final = re.compile(
    r"Resizing\(height=(?P<height>\d+), width=(?P<width>\d+), interpolation=(?P<method>\w+)\)"
)


Value_co = TypeVar("Value_co", bound=str, covariant=True)
LikelyKind: TypeAlias = OutputKind | Literal[""]


@dataclass(frozen=True, slots=True)
class Guess(Generic[Value_co]):
    """What something is likely to be.

    Attributes:
        value: as the manifest spells it; empty where nothing is likely.
        reason: one sentence without a full stop.
    """

    value: Value_co
    reason: str


def guess_kind(output: TensorSpec, ending: str) -> Guess[LikelyKind]:
    """The kind of an output.

    Args:
        output: of the signature.
        ending: the function that it ends with, as ``Anatomy`` has it.
    """
    sizes = output.row_shape
    if len(sizes) > 1 or None in sizes:
        return Guess("raw", f"it is {output}, and scores are [rows, classes]")
    count = sizes[0] if sizes else 1
    if count == 1:
        return _guess_binary(ending)
    if ending == "softmax":
        return Guess("probabilities", f"{count} numbers that end with a softmax")
    if ending == "sigmoid":
        return Guess(
            "multilabel_probabilities", f"{count} numbers that end with a sigmoid, each for itself"
        )
    return Guess("logits", f"{count} numbers that end with neither softmax nor sigmoid")


def _guess_binary(ending: str) -> Guess[LikelyKind]:
    if ending == "softmax":
        return Guess("", "one number that ends with a softmax is always 1: train it with a sigmoid")
    if ending == "sigmoid":
        return Guess("binary_probability", "one number that ends with a sigmoid")
    return Guess("binary_logit", "one number that does not end with a sigmoid")


@dataclass(frozen=True, slots=True)
class PictureForm:
    """How an input holds pictures.

    Attributes:
        channels: 1 or 3.
        layout: where their axis is.
        dtype: of the rows that a recipe makes.
    """

    channels: int
    layout: Layout
    dtype: DType

    def settings(self, preset: str, resize: ResizeSettings | None = None) -> RecipeSettings:
        """The recipe of a preset in this form.

        Args:
            preset: a name of ``PRESETS``.
            resize: the keys that are other than the preset's.
        """
        color: Color | None = "grayscale" if self.channels == 1 else None
        has_levels = self.dtype == "uint8" and PRESETS[preset].normalize is None
        return RecipeSettings(
            preset=preset,
            color=color,
            layout=self.layout if self.layout != "channels_last" else None,
            dtype="uint8" if has_levels else None,
            resize=resize,
        )


def picture_form(picture: TensorSpec) -> PictureForm | None:
    """How an input holds pictures; None where it does not look like that.

    Args:
        picture: the model's only input.
    """
    sizes = picture.row_shape
    if len(sizes) != _PICTURE_AXES:
        return None
    dtype: DType = "uint8" if picture.dtype == np.uint8 else "float32"
    if sizes[-1] in _CHANNELS:
        return PictureForm(int(sizes[-1]), "channels_last", dtype)
    if sizes[0] in _CHANNELS:
        return PictureForm(int(sizes[0]), "channels_first", dtype)
    return None


def guess_preset(picture: TensorSpec, anatomy: Anatomy) -> Guess[str]:
    """The preset of the recipe.

    Args:
        picture: the model's only input.
        anatomy: of the model.
    """
    form = picture_form(picture)
    if form is None:
        expected = "[rows, height, width, 1 or 3] or [rows, 1 or 3, height, width]"
        return Guess("", f"the input is {picture}, and pictures are {expected}")
    scaling = [each for each in anatomy.preprocessing if each.startswith(("Rescaling", "Normal"))]
    if scaling:
        return Guess("keras-load-img", f"the model scales by itself: {scaling[0]}")
    # preprocess_input of these modules knows colour pictures only.
    for part in anatomy.parts if form.channels == _COLOURS else ():
        for pattern, module in _FAMILIES:
            if re.search(pattern, part.lower()):
                return Guess(
                    f"keras-applications:{module}",
                    f'a part is called "{part}"; preprocess_input of that module belongs to it',
                )
    return Guess("keras-load-img", NO_SCALING)


def guess_resize(picture: TensorSpec, anatomy: Anatomy) -> ResizeSettings | None:
    """What a model does that takes pictures of any size and resizes them itself.

    Done by the recipe to the same size, nothing is left to do inside. None where the input says the
    size, or no layer does.

    Args:
        picture: the model's only input.
        anatomy: of the model.
    """
    found = [match for each in anatomy.preprocessing if (match := _INNER_SIZE.fullmatch(each))]
    if None not in picture.row_shape or len(found) != 1:
        return None
    method = _METHODS.get(found[0]["method"])
    if method is None:
        return None
    return ResizeSettings(
        width=int(found[0]["width"]),
        height=int(found[0]["height"]),
        library="tensorflow",
        method=method,
        rounding="none",
    )
