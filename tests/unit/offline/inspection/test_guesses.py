"""What is guessed of outputs and recipes, and why."""

import numpy as np
import pytest

from batchproof_server.backends.source import Anatomy
from batchproof_server.base.signature import TensorSpec
from batchproof_server.imaging.presets import PRESETS
from batchproof_server.offline.inspection.guesses import NO_SCALING, guess_kind, guess_preset


def spec(*sizes: int | None) -> TensorSpec:
    return TensorSpec("x", np.dtype(np.float32), sizes)


@pytest.mark.parametrize(
    ("sizes", "ending", "kind"),
    [
        ((10,), "", "logits"),
        ((10,), "softmax", "probabilities"),
        ((10,), "sigmoid", "multilabel_probabilities"),
        ((1,), "", "binary_logit"),
        ((), "", "binary_logit"),
        ((1,), "sigmoid", "binary_probability"),
        ((1,), "softmax", ""),
        ((7, 7, 4), "", "raw"),
        ((None,), "softmax", "raw"),
    ],
)
def test_the_kind_follows_from_the_sizes_and_the_ending(
    sizes: tuple[int | None, ...], ending: str, kind: str
) -> None:
    assert guess_kind(spec(*sizes), ending).value == kind


@pytest.mark.parametrize(
    ("part", "module"),
    [
        ("mobilenetv2_1.00_224", "mobilenet_v2"),
        ("MobileNetV3Small", "mobilenet_v3"),
        ("mobilenet_1.00_224", "mobilenet"),
        ("resnet50", "resnet"),
        ("resnet50v2", "resnet_v2"),
        ("inception_resnet_v2", "inception_resnet_v2"),
        ("efficientnetv2-b0", "efficientnet_v2"),
        ("efficientnetb0", "efficientnet"),
        ("nasnet_mobile", "nasnet"),
        ("vgg16", "vgg16"),
        ("xception", "xception"),
        ("densenet121", "densenet"),
        ("convnext_tiny", "convnext"),
    ],
)
def test_the_preset_follows_from_the_name_of_a_part(part: str, module: str) -> None:
    guess = guess_preset(spec(224, 224, 3), Anatomy(parts=("mine", part)))
    assert guess.value == f"keras-applications:{module}"
    assert guess.value in PRESETS


def test_a_model_that_scales_by_itself_gets_plain_levels() -> None:
    anatomy = Anatomy(parts=("resnet50",), preprocessing=("Rescaling(scale=0.1, offset=0.0)",))
    assert guess_preset(spec(8, 8, 3), anatomy).value == "keras-load-img"


def test_where_nothing_tells_the_scale_that_is_said() -> None:
    assert guess_preset(spec(8, 8, 1), Anatomy(parts=("mine",))).reason == NO_SCALING


def test_what_is_no_picture_has_no_recipe() -> None:
    assert guess_preset(spec(16), Anatomy()).value == ""
    assert guess_preset(spec(8, 8, 4), Anatomy()).value == ""
