"""The models of the benchmarks, written as bundles, and the message that asks for one image."""

import json
import os
from pathlib import Path

import numpy as np

from batchproof.tensors import to_proto
from batchproof.v1 import prediction_pb2 as pb

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


def write_keras(directory: Path, network: str, dtype: str, manifest: str = "") -> Path:
    """A network of ``keras.applications`` with fixed random weights; built once.

    Args:
        directory: the bundle.
        network: such as ``MobileNetV2``.
        dtype: of the pixels that it takes, ``float32`` or ``uint8``.
        manifest: tables to add to the manifest.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "batchproof.toml").write_text(MANIFEST + manifest)
    if not (directory / "model.keras").exists():
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras  # noqa: PLC0415 - takes seconds, and only where it is needed

        keras.utils.set_random_seed(1)
        pixels = keras.Input((224, 224, 3), dtype=dtype, name="image")
        layers = getattr(keras.applications, network)(weights=None, classifier_activation=None)
        _settle(layers)
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
        keras.Model(pixels, layers(scaled)).save(directory / "model.keras")
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
