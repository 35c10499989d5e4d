"""What a model's outputs and its recipe are likely to be, with the reason. Pure.

A guess is where to begin, not a proof: `evaluate` on labelled pictures shows whether it is right.
"""

import re
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from batchproof_server.backends.source import Anatomy
from batchproof_server.base.output import OutputKind
from batchproof_server.base.signature import TensorSpec

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
_CHANNELS: Final = (1, 3)


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


def guess_preset(picture: TensorSpec, anatomy: Anatomy) -> Guess[str]:
    """The preset of the recipe.

    Args:
        picture: the model's only input.
        anatomy: of the model.
    """
    sizes = picture.row_shape
    if len(sizes) != _PICTURE_AXES or sizes[-1] not in _CHANNELS:
        return Guess("", f"the input is {picture}, and pictures are [rows, height, width, 1 or 3]")
    scaling = [each for each in anatomy.preprocessing if each.startswith(("Rescaling", "Normal"))]
    if scaling:
        return Guess("keras-load-img", f"the model scales by itself: {scaling[0]}")
    for part in anatomy.parts:
        for pattern, module in _FAMILIES:
            if re.search(pattern, part.lower()):
                return Guess(
                    f"keras-applications:{module}",
                    f'a part is called "{part}"; preprocess_input of that module belongs to it',
                )
    return Guess("keras-load-img", NO_SCALING)
