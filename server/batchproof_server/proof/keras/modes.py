"""Rules about inference mode in Keras models, over plain facts about layers. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

_COARSE: Final = ("float16", "bfloat16", "float8")
_DROPOUTS: Final = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("AlphaDropout", "GaussianDropout"),
)
# Layers whose call defaults to training=True; a test compares with the installed Keras.
TRAINING_BY_DEFAULT: Final = frozenset(
    [
        "AugMix",
        "AutoContrast",
        "CenterCrop",
        "ContrastLimitedAdaptiveHistogramEqualization",
        "CutMix",
        "Equalization",
        "MaxNumBoundingBoxes",
        "MixUp",
        "Pipeline",
        "RandAugment",
        "RandomBrightness",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomContrast",
        "RandomCrop",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomZoom",
        "Resizing",
        "Solarization",
    ]
)
# Layers that draw the masks of their cell before they know the mode.
RECURRENT: Final = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_RANDOM: Final = ("AugMix", "CutMix", "MixUp", "RandAugment", "GaussianNoise", "Solarization")


class Mode(StrEnum):
    """What training mode does to a layer."""

    BATCH_NORM = "BP101"
    DROPOUT = "BP102"
    RANDOM = "BP103"


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer of a model, from its configuration or in memory.

    Attributes:
        path: names from the outermost model inwards, with slashes.
        mode: what training mode would do to it; None for nothing.
        node_training: the ``training`` of each of its nodes; None where none is stored.
        by_default: its call defaults to ``training=True``.
        compute_dtype: such as ``float32``; empty where it is not known.
        static_rows: the batch dimension that it was built for.
        masks: a recurrent cell that draws dropout masks at every call.
        shielded: it stays in inference mode whatever ran before it, because its call defaults to
            ``training=False`` and Keras stores that in its node.
    """

    path: str
    mode: Mode | None = None
    node_training: tuple[Any, ...] = ()
    by_default: bool = False
    compute_dtype: str = ""
    static_rows: int | None = None
    masks: bool = False
    shielded: bool = False

    @property
    def trains(self) -> bool:
        """Whether a node of it stores a ``training`` that is not off."""
        return any(bool(training) for training in self.node_training)

    @property
    def trains_unasked(self) -> bool:
        """Whether calling the model without ``training`` runs it in training mode."""
        stored = [training is not None for training in self.node_training]
        return self.by_default and not (stored and all(stored))


def mode_of(class_name: str, config: Mapping[str, Any], *, trainable: bool) -> Mode | None:
    """What training mode does to a layer of Keras.

    Args:
        class_name: such as ``Dropout``.
        config: the layer's own configuration.
        trainable: a frozen BatchNormalization is in inference mode for good.
    """
    if class_name == "BatchNormalization":
        return Mode.BATCH_NORM if trainable else None
    if class_name in _DROPOUTS:
        return Mode.DROPOUT if config.get("rate", 1) else None
    if class_name == "GaussianNoise":
        return Mode.RANDOM if config.get("stddev", 1) else None
    if class_name in _RANDOM or class_name.startswith("Random"):
        return Mode.RANDOM
    return Mode.DROPOUT if masks(config) else None


def masks(config: Mapping[str, Any]) -> bool:
    """Whether a layer or a cell drops inputs or states."""
    return bool(config.get("dropout") or config.get("recurrent_dropout"))


def audit_layers(layers: Sequence[LayerFacts]) -> tuple[Finding, ...]:
    """Judges layers in the order in which they execute, each before what is inside it."""
    findings: list[Finding] = []
    for index, layer in enumerate(layers):
        inside = [other for other in layers if other.path.startswith(f"{layer.path}/")]
        later = [other for other in layers[index + 1 :] if other.mode and not other.shielded]
        findings += _about(layer, [layer, *inside], later)
    return (*findings, *_precision(layers))


def _about(
    layer: LayerFacts, itself: Sequence[LayerFacts], later: Sequence[LayerFacts]
) -> Iterator[Finding]:
    modes = {other.mode: other for other in itself if other.mode is not None}
    if layer.trains:
        detail = "a node of it stores training=True"
        for mode, other in modes.items():
            yield found(str(mode), other.path, detail)
        if not modes and later:
            yield found("BP104", layer.path, f'{detail}, and "{later[0].path}" comes after it')
    elif layer.trains_unasked:
        if layer.mode is not None:
            yield found("BP106", layer.path, "its call defaults to training=True")
        if later:
            detail = f'its call defaults to training=True, and "{later[0].path}" comes after it'
            yield found("BP105", layer.path, detail)
    if layer.masks:
        yield found("BP109", layer.path)
    if layer.static_rows is not None:
        yield found("BP309", layer.path, f"built for exactly {layer.static_rows} rows")


def _precision(layers: Sequence[LayerFacts]) -> Iterator[Finding]:
    for dtype in _COARSE:
        coarse = [layer for layer in layers if layer.compute_dtype.startswith(dtype)]
        if coarse:
            detail = f"{len(coarse)} layers compute in {coarse[0].compute_dtype}"
            yield found("BP401", coarse[0].path, detail)
