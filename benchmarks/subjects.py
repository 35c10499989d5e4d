"""The models under test, each a bundle and the message that asks for one image."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchproof.v1 import prediction_pb2 as pb
from bundles import write_affine, write_keras, write_message, write_small_cnn

HERE: Final = Path(__file__).resolve().parent
KEPT: Final = HERE.parent / "build/benchmarks"
EMBEDDED: Final = HERE.parent / "examples/fashion_mnist/models/fashion-mnist/1"
LARGE: Final = (224, 224, 3)


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        label: for tables.
        bundle: a directory.
        message: the file with a PredictRequest of one image.
        shape: of a row.
        dtype: of a row.
        others: further such messages, which an open loop sends in turn with it.
    """

    label: str
    bundle: Path
    message: Path
    shape: tuple[int, ...]
    dtype: str = "float32"
    others: tuple[Path, ...] = ()

    @property
    def messages(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.message, *self.others)


def _affine(name: str, label: str, shape: tuple[int, ...], dtype: str) -> Subject:
    bundle = write_affine(KEPT / name / "1", shape, dtype)
    message = write_message(KEPT / f"{name}.bin", shape, dtype)
    return Subject(label, bundle, message, shape, dtype)


def affine_small() -> Subject:
    """Costs next to nothing: what is left is the server."""
    return _affine("affine-64b", "affine, 64 bytes", (16,), "float32")


def affine_bytes() -> Subject:
    """The same with 150 kB in."""
    return _affine("affine-150kb", "affine, 150 kB", LARGE, "uint8")


def affine_floats() -> Subject:
    """The same with 600 kB in."""
    return _affine("affine-600kb", "affine, 600 kB", LARGE, "float32")


def embedded() -> Subject:
    """The model of the repository, a small CNN."""
    message = write_message(KEPT / "embedded.bin", (28, 28, 1))
    return Subject("embedded, 3 kB", EMBEDDED, message, (28, 28, 1))


def embedded_pictures() -> Subject:
    """The same, which is sent the pictures that it ships with."""
    messages = []
    for number, picture in enumerate(sorted((EMBEDDED / "samples").glob("*.png"))):
        request = pb.PredictRequest(images=pb.EncodedImages(contents=[picture.read_bytes()]))
        messages.append(KEPT / f"embedded-picture-{number}.bin")
        messages[-1].write_bytes(request.SerializeToString())
    first, *others = messages
    return Subject("embedded, pictures", EMBEDDED, first, (28, 28, 1), others=tuple(others))


def small_cnn() -> Subject:
    """A CNN of about a millisecond an image, on float32 pixels."""
    bundle = write_small_cnn(KEPT / "small-cnn/1")
    message = write_message(KEPT / "small-cnn.bin", (32, 32, 3))
    return Subject("small CNN, 12 kB", bundle, message, (32, 32, 3))


def _keras(network: str, label: str, dtype: str, manifest: str = "") -> Subject:
    name = f"{network.lower()}-{dtype}" + ("-pictures" if "recipe" in manifest else "")
    bundle = write_keras(KEPT / name / "1", network, dtype, manifest)
    message = write_message(KEPT / f"224-{dtype}.bin", LARGE, dtype)
    return Subject(label, bundle, message, LARGE, dtype)


def lite0_bytes() -> Subject:
    """EfficientNet-Lite0 on uint8 pixels, with fixed random weights, as all that follow."""
    return _keras("EfficientNetLite0", "EfficientNet-Lite0, uint8, 150 kB", "uint8")


def lite0_floats() -> Subject:
    """EfficientNet-Lite0 on float32 pixels."""
    return _keras("EfficientNetLite0", "EfficientNet-Lite0, float32, 600 kB", "float32")


def mobilenet_bytes() -> Subject:
    """MobileNetV2 on uint8 pixels."""
    return _keras("MobileNetV2", "MobileNetV2, uint8, 150 kB", "uint8")


def mobilenet_floats() -> Subject:
    """MobileNetV2 on float32 pixels."""
    return _keras("MobileNetV2", "MobileNetV2, float32, 600 kB", "float32")


def mobilenet_pictures() -> Subject:
    """MobileNetV2 with a recipe for pictures."""
    recipe = '[recipe]\npreset = "keras-load-img"\ndtype = "uint8"\n'
    return _keras("MobileNetV2", "MobileNetV2 with a recipe", "uint8", recipe)


def resnet() -> Subject:
    """ResNet50 on uint8 pixels; its largest bucket is 8, for it is slow here."""
    buckets = "[batching]\nbuckets_rows = [1, 2, 4, 8]\n"
    return _keras("ResNet50", "ResNet50, uint8, 150 kB", "uint8", buckets)


ALL: Final[tuple[Callable[[], Subject], ...]] = (
    affine_small,
    embedded,
    small_cnn,
    lite0_bytes,
    lite0_floats,
    mobilenet_bytes,
    mobilenet_floats,
    resnet,
)
