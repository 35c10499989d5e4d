"""The models of the benchmarks, written as bundles, and the message that asks for one image."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb
from lite0 import efficientnet_lite0

MANIFEST = 'format = 1\n[output]\nkind = "logits"\n'


def write_affine(directory: Path, shape: tuple[int, ...], dtype: str = "float32") -> Path:
    """A model that costs next to nothing: what is left is the server itself."""
    directory.mkdir(parents=True, exist_ok=True)
    artefact = {
        "input_shape": shape,
        "input_dtype": dtype,
        "classes": 10,
        "scale": 2.0,
        "offset": 1.0,
    }
    (directory / "affine.json").write_text(json.dumps(artefact))
    (directory / "batchproof.toml").write_text(MANIFEST)
    return directory


def write_keras(
    directory: Path, network: str, dtype: str, manifest: str = "", *, side: int = 224
) -> Path:
    """A network with fixed random weights; built once.

    Args:
        directory: the bundle.
        network: of ``keras.applications``, such as ``MobileNetV2``, or ``EfficientNetLite0``.
        dtype: of the pixels that it takes, ``float32`` or ``uint8``.
        manifest: tables to add to the manifest.
        side: of the pictures, in pixels.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "batchproof.toml").write_text(MANIFEST + manifest)
    if not (directory / "model.keras").exists():
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras  # noqa: PLC0415 - takes seconds, and only where it is needed

        keras.utils.set_random_seed(1)
        shape = (side, side, 3)
        pixels = keras.Input(shape, dtype=dtype, name="image")
        if network == "EfficientNetLite0":
            layers = efficientnet_lite0(shape)
        else:
            make = getattr(keras.applications, network)
            layers = make(input_shape=shape, weights=None, classifier_activation=None)
        _settle(layers)
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
        keras.Model(pixels, layers(scaled)).save(directory / "model.keras")
    return directory


def write_small_cnn(directory: Path) -> Path:
    """A CNN for pictures of 32 x 32, as tutorials build it for CIFAR-10, with random weights."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "batchproof.toml").write_text(MANIFEST)
    if not (directory / "model.keras").exists():
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras  # noqa: PLC0415 - takes seconds, and only where it is needed

        keras.utils.set_random_seed(1)
        layers = keras.layers
        blocks = [
            layer
            for filters in (32, 64, 128)
            for layer in (
                layers.Conv2D(filters, 3, padding="same", activation="relu"),
                layers.BatchNormalization(),
                layers.Conv2D(filters, 3, padding="same", activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
            )
        ]
        ends = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
        image = keras.Input((32, 32, 3), name="image")
        network = keras.Sequential([image, layers.Rescaling(1 / 255), *blocks, *ends])
        _settle(network)
        network.save(directory / "model.keras")
    return directory


def write_asserting(directory: Path) -> Path:
    """A SavedModel for pictures of 12 x 12 x 3 that raises for rows with a value of 1,000."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "batchproof.toml").write_text(MANIFEST)
    if not (directory / "saved_model.pb").exists():
        import tensorflow as tf  # noqa: PLC0415 - takes seconds, and only where it is needed

        module = tf.Module()
        module.weights = tf.Variable(tf.random.stateless_uniform((12 * 12 * 3, 10), (1, 2)))

        def scores(image: Any) -> dict[str, Any]:
            with tf.control_dependencies([tf.debugging.assert_less(image, 1_000.0)]):
                return {"logits": tf.reshape(image, (-1, 12 * 12 * 3)) @ module.weights}

        spec = tf.TensorSpec((None, 12, 12, 3), tf.float32, name="image")
        module.serve = tf.function(scores, input_signature=[spec], autograph=False)
        tf.saved_model.save(module, str(directory), {"serving_default": module.serve})
    return directory


def _settle(network: "object") -> None:
    """Gives batch normalisation statistics that are not those of a network that saw nothing."""
    random = np.random.default_rng(3)
    for layer in getattr(network, "layers"):  # noqa: B009 - Keras has no types
        if type(layer).__name__ == "BatchNormalization":
            channels = layer.moving_mean.shape[0]
            layer.moving_mean.assign(random.normal(0, 0.1, channels))
            layer.moving_variance.assign(random.uniform(0.8, 1.2, channels))


def write_message(file: Path, shape: tuple[int, ...], dtype: str = "float32") -> Path:
    """A PredictRequest of one row for the input ``image``."""
    row = (np.random.default_rng(2).random((1, *shape)) * 255).astype(dtype)
    request = pb.PredictRequest()
    request.tensors.tensors["image"].CopyFrom(to_proto(row))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(request.SerializeToString())
    return file
