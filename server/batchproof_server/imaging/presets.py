"""What other programs do to a picture, by name. ``docs/recipes.md`` has the table for users."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from batchproof_server.imaging.normalize import NormalizeSettings
from batchproof_server.imaging.resize import ResizeSettings

DecoderName: TypeAlias = Literal["accurate", "tensorflow-fast"]
Color: TypeAlias = Literal["rgb", "bgr", "grayscale"]


@dataclass(frozen=True, slots=True)
class Preset:
    """The keys that a preset gives; all others are the recipe's own or the default.

    Attributes:
        decoder: as in the recipe.
        resize: as in the recipe; the size is the recipe's or the model's.
        color: as in the recipe.
        normalize: as in the recipe.
    """

    decoder: DecoderName
    resize: ResizeSettings
    color: Color = "rgb"
    normalize: NormalizeSettings | None = None


# keras.utils.load_img(path, target_size=...) and img_to_array: Pillow, nearest by default.
_LOAD_IMG = Preset("accurate", ResizeSettings(library="pillow", method="nearest"))

# keras.utils.image_dataset_from_directory: tf.io.decode_image (IFAST DCT) and tf.image.resize.
_IMAGE_DATASET = Preset("tensorflow-fast", ResizeSettings(library="tensorflow", method="bilinear"))

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue of 0..1, as ``IMAGENET_MEAN``."""
_UNIT_SCALED = NormalizeSettings(divisor=255.0, mean=IMAGENET_MEAN, std=IMAGENET_STD)

# keras.applications.imagenet_utils.preprocess_input over load_img, one for each of its modes.
_IDENTITY = _LOAD_IMG
_TF_MODE = Preset(
    "accurate", _LOAD_IMG.resize, normalize=NormalizeSettings(divisor=127.5, offset=-1.0)
)
_TORCH_MODE = Preset("accurate", _LOAD_IMG.resize, normalize=_UNIT_SCALED)
_CAFFE_MODE = Preset(
    "accurate",
    _LOAD_IMG.resize,
    color="bgr",
    normalize=NormalizeSettings(mean=(103.939, 116.779, 123.68)),
)

# torchvision.transforms on Pillow images: Resize(256), CenterCrop(224), ToTensor, Normalize.
_TORCHVISION_EVAL = Preset(
    "accurate",
    ResizeSettings(
        library="pillow", method="bilinear", policy="short_side_center_crop", short_side=256
    ),
    normalize=_UNIT_SCALED,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "keras-load-img": _LOAD_IMG,
        "keras-image-dataset": _IMAGE_DATASET,
        "keras-applications:convnext": _IDENTITY,
        "keras-applications:densenet": _TORCH_MODE,
        "keras-applications:efficientnet": _IDENTITY,
        "keras-applications:efficientnet_v2": _IDENTITY,
        "keras-applications:imagenet_utils": _CAFFE_MODE,
        "keras-applications:inception_resnet_v2": _TF_MODE,
        "keras-applications:inception_v3": _TF_MODE,
        "keras-applications:mobilenet": _TF_MODE,
        "keras-applications:mobilenet_v2": _TF_MODE,
        "keras-applications:mobilenet_v3": _IDENTITY,
        "keras-applications:nasnet": _TF_MODE,
        "keras-applications:resnet": _CAFFE_MODE,
        "keras-applications:resnet50": _CAFFE_MODE,
        "keras-applications:resnet_v2": _TF_MODE,
        "keras-applications:vgg16": _CAFFE_MODE,
        "keras-applications:vgg19": _CAFFE_MODE,
        "keras-applications:xception": _TF_MODE,
        "torchvision-eval": _TORCHVISION_EVAL,
    }
)
