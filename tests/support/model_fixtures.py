"""Small models with fixed weights, saved as a user would save them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

Save: TypeAlias = Callable[[Path], Path]

IMAGE_PIXELS = 16
CLASSES = 5


def save_keras(model: Any, directory: Path) -> Path:
    """Saves ``model`` as the artefact ``model.keras``."""
    artefact = directory / "model.keras"
    model.save(artefact)
    return artefact


def save_cnn(directory: Path) -> Path:
    """``image`` float32 [16, 16, 3] -> ``scores``; BatchNorm that has seen data, and Dropout."""
    return save_keras(cnn(), directory)


def save_sequential(directory: Path) -> Path:
    """``pixels`` uint8 [8, 8, 1] -> ``scores``; rescales the pixels itself."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8", name="pixels"),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax", name="scores"),
        ]
    )
    return save_keras(model, directory)


def save_two_headed(directory: Path) -> Path:
    """``image`` float32 [8, 8, 3] and ``codes`` int32 [4] -> a dictionary of two outputs."""
    return save_keras(two_headed(nested=False), directory)


def save_two_headed_nested(directory: Path) -> Path:
    """The same network with its inputs and outputs in lists: ``[image, [codes]]``."""
    return save_keras(two_headed(nested=True), directory)


def save_any_size(directory: Path) -> Path:
    """``image`` float32 [any, any, 3]: Resizing before BatchNorm, where Keras 3.15 goes wrong.

    There ``model(x)`` without ``training=False`` would normalise by the batch.
    """
    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = keras.Input((None, None, 3), name="image")
    seen = layers.BatchNormalization(name="norm")(layers.Resizing(8, 8)(image))
    pooled = layers.GlobalAveragePooling2D()(seen)
    model = keras.Model(image, layers.Dense(CLASSES, name="scores")(pooled))
    _move_statistics(model)
    return save_keras(model, directory)


def save_exported(directory: Path) -> Path:
    """The CNN as ``model.export()`` writes it: ``image`` -> ``output_0``."""
    cnn().export(directory / "exported", verbose=False)
    return directory / "exported"


def save_table(directory: Path) -> Path:
    """A ``tf.Module`` with a lookup table: ``codes`` int32 [3] -> ``values``, ``doubled``."""
    module = TableModule()
    artefact = directory / "table"
    tf.saved_model.save(module, artefact, signatures=module.answer)
    return artefact


def save_function(
    directory: Path, function: Callable[[Any], dict[str, Any]], spec: Any, key: str = "answer"
) -> Path:
    """A SavedModel of one function of one input, under the signature ``key``."""
    return save_functions(directory, {key: function}, spec)


def save_functions(
    directory: Path, functions: Mapping[str, Callable[[Any], dict[str, Any]]], spec: Any
) -> Path:
    """A SavedModel with a signature for each function, all over the same input."""
    module = tf.Module()
    signatures = {
        key: tf.function(function, input_signature=[spec]).get_concrete_function()
        for key, function in functions.items()
    }
    artefact = directory / "functions"
    tf.saved_model.save(module, artefact, signatures=signatures)
    return artefact


def cnn() -> Any:
    """The network of ``save_cnn``, in memory."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((IMAGE_PIXELS, IMAGE_PIXELS, 3), name="image")
    seen = layers.Conv2D(8, 3, strides=2, name="conv")(image)
    seen = layers.ReLU()(layers.BatchNormalization(name="norm")(seen))
    pooled = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(seen))
    model = keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="scores")(pooled))
    _move_statistics(model)
    return model


def two_headed(*, nested: bool) -> Any:
    """The network of ``save_two_headed``, in memory."""
    layers = keras.layers
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 3), name="image")
    codes = keras.Input((4,), dtype="int32", name="codes")
    both = layers.Concatenate()(
        [layers.Flatten()(image), layers.Flatten()(layers.Embedding(256, 2)(codes))]
    )
    logits = layers.Dense(CLASSES, name="logits")(both)
    vector = layers.Dense(3, name="vector")(both)
    if nested:
        return keras.Model([image, [codes]], [logits, vector])
    return keras.Model({"image": image, "codes": codes}, {"zeta": logits, "alpha": vector})


def _move_statistics(model: Any) -> None:
    """Gives BatchNorm the statistics of a training that never was."""
    numbers = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(numbers.normal(0, 0.5, layer.moving_mean.shape))
            layer.moving_variance.assign(numbers.uniform(0.5, 2, layer.moving_variance.shape))


class TableModule(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Looks codes up in a table and multiplies by a variable."""

    def __init__(self) -> None:
        super().__init__()
        pairs = tf.lookup.KeyValueTensorInitializer(
            tf.constant([1, 2, 3], tf.int32), tf.constant([0.5, 1.5, 2.5])
        )
        self.table = tf.lookup.StaticHashTable(pairs, default_value=-1.0)
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.int32, name="codes")])  # type: ignore[untyped-decorator]
    def answer(self, codes: Any) -> dict[str, Any]:
        """The values of the codes, plain and multiplied."""
        values = self.table.lookup(codes)
        return {"values": values, "doubled": values * self.factor}
