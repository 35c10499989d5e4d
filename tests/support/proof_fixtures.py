"""Models that keep rows apart and models that do not, and a way to tell them apart by running."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from support.even_kernels import are_kernels_even

ROWS = 8
PIXELS = 6
CHANNELS = 4
IMAGE_SHAPE = (PIXELS, PIXELS, CHANNELS)
layers = keras.layers

Answers: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
Run: TypeAlias = Callable[[np.ndarray[Any, Any]], Answers]
Snapshot: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class Module:
    """A function of TensorFlow over a batch ``[rows, 6, 6, 4]``.

    Attributes:
        answer: from a batch to ``{"answer": ...}``.
        owner: what holds its variables and tables.
        snapshot: what the function may change outside its answer.
    """

    answer: Callable[[Any], dict[str, Any]]
    owner: Any = None
    snapshot: Snapshot = lambda: None


def pictures(seed: int, rows: int = ROWS) -> np.ndarray[Any, Any]:
    """A batch float32 ``[rows, 6, 6, 4]`` in which no two rows are alike."""
    numbers = np.random.default_rng(seed)
    scale = numbers.uniform(0.5, 3, (rows, 1, 1, 1))
    return (numbers.normal(0.5, 1, (rows, *IMAGE_SHAPE)) * scale).astype(np.float32)


def breaks_the_promise(run: Run, snapshot: Snapshot, rows: int = ROWS) -> bool:
    """Whether an answer changes with co-batched rows, place or time, or a call leaves a trace."""
    batch, before = pictures(0, rows), snapshot()
    answers = run(batch)
    if snapshot() != before or not _same(run(batch), answers):
        return True
    for seed in range(1, 13):
        numbers = np.random.default_rng(seed)
        order = numbers.permutation(2 * rows)[:rows]
        others = pictures(seed, rows) * numbers.choice(np.array([0.01, 1, 50], np.float32))
        pool = np.concatenate([batch, others])
        together = run(pool[order])
        for place, row in enumerate(order):
            if row < rows and not _same_row(answers, row, together, place):
                return True
    return snapshot() != before


def _same(left: Answers, right: Answers) -> bool:
    return all(np.array_equal(left[name], right[name], equal_nan=True) for name in left)


def _alike(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    """Bit for bit, or but for rounding where the processor's kernels round by the place."""
    if are_kernels_even() or left.dtype.kind != "f":
        return np.array_equal(left, right, equal_nan=True)
    return np.allclose(left, right, rtol=1e-4, atol=1e-5, equal_nan=True)


def _same_row(left: Answers, row: int, right: Answers, place: int) -> bool:
    for name in left:
        if left[name].shape[:1] != right[name].shape[:1] or left[name].shape[:1] <= (row,):
            return False
        if not _alike(left[name][row], right[name][place]):
            return False
    return True


def move_weights(model: Any) -> Any:
    """Gives every variable of a model the values of a training that never was."""
    numbers = np.random.default_rng(5)
    for variable in model.variables:
        if "seed" in variable.path:
            continue
        shape, name = variable.shape, variable.path.rpartition("/")[2]
        low, high = (0.5, 2.0) if name in ("moving_variance", "gamma") else (-0.6, 0.6)
        variable.assign(numbers.uniform(low, high, shape).astype(variable.dtype))
    return model


def weights_of(model: Any) -> list[bytes]:
    """Every variable, the states of random generators too."""
    return [variable.numpy().tobytes() for variable in model.variables]


def functional(*steps: Any, shape: tuple[int, ...] = IMAGE_SHAPE) -> Any:
    """A functional model of layers one after the other, or of functions of a tensor."""
    image = keras.Input(shape, name="image")
    tensor = image
    for step in steps:
        tensor = step(tensor)
    return move_weights(keras.Model(image, tensor))


def sequential(*steps: Any) -> Any:
    """The same as a sequential model."""
    return move_weights(keras.Sequential([keras.Input(IMAGE_SHAPE, name="image"), *steps]))


def head() -> tuple[Any, ...]:
    """BatchNorm, pooling, Dropout and a classifier."""
    return (
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(3),
    )


def trained(layer: Any) -> Callable[[Any], Any]:
    """A layer called with ``training=True``, as a recipe for uncertainty has it."""
    return lambda tensor: layer(tensor, training=True)


_FIRST: Mapping[str, Callable[[], Any]] = {
    "Resizing": lambda: layers.Resizing(5, 5),
    "CenterCrop": lambda: layers.CenterCrop(4, 4),
    "RandomFlip": lambda: layers.RandomFlip(seed=1),
    "RandomRotation": lambda: layers.RandomRotation(0.3, seed=1),
    "RandomBrightness": lambda: layers.RandomBrightness(0.5, value_range=(0, 1), seed=1),
}


def _after(kind: Callable[..., Any], first: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: kind(first(), *head())


def _inner_trained() -> Any:
    image = keras.Input(IMAGE_SHAPE)
    inner = keras.Model(image, layers.BatchNormalization()(image, training=True), name="inner")
    return functional(inner, layers.GlobalAveragePooling2D(), layers.Dense(3))


class OwnBlock(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A sub-classed layer that holds others in a list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.parts = [layers.Conv2D(4, 3), layers.BatchNormalization()]

    def build(self, input_shape: Any) -> None:
        """Builds the parts one after the other."""
        self.parts[0].build(input_shape)
        self.parts[1].build(self.parts[0].compute_output_shape(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: FBT001 - Keras' own name
        """Convolves and normalises."""
        return self.parts[1](self.parts[0](inputs), training=training)


BAD_KERAS: Mapping[str, Callable[[], Any]] = {
    **{
        f"functional, {name} before BatchNorm": _after(functional, first)
        for name, first in _FIRST.items()
    },
    **{
        f"sequential, {name} before BatchNorm": _after(sequential, first)
        for name, first in _FIRST.items()
    },
    "BatchNorm(training=True)": lambda: functional(
        trained(layers.BatchNormalization()), layers.GlobalAveragePooling2D(), layers.Dense(3)
    ),
    "Dropout(training=True)": lambda: functional(
        layers.Flatten(), trained(layers.Dropout(0.5)), layers.Dense(3)
    ),
    "SpatialDropout2D(training=True)": lambda: functional(
        trained(layers.SpatialDropout2D(0.5)), layers.GlobalAveragePooling2D()
    ),
    "GaussianNoise(training=True)": lambda: functional(
        trained(layers.GaussianNoise(0.5)), layers.GlobalAveragePooling2D()
    ),
    "an inner model with BatchNorm(training=True)": _inner_trained,
    "a sequential model called with training=True": lambda: functional(
        trained(keras.Sequential([keras.Input(IMAGE_SHAPE), layers.BatchNormalization()])),
        layers.GlobalAveragePooling2D(),
    ),
    "TimeDistributed(BatchNorm)(training=True)": lambda: functional(
        trained(layers.TimeDistributed(layers.BatchNormalization())),
        layers.GlobalAveragePooling2D(),
    ),
    "Bidirectional(LSTM with dropout)(training=True)": lambda: functional(
        layers.Reshape((PIXELS, PIXELS * CHANNELS)),
        trained(layers.Bidirectional(layers.LSTM(3, dropout=0.4))),
    ),
    "GRU with dropout(training=True)": lambda: functional(
        layers.Reshape((PIXELS, PIXELS * CHANNELS)),
        trained(layers.GRU(3, recurrent_dropout=0.4)),
    ),
    "a sub-classed layer called with training=True": lambda: functional(
        trained(OwnBlock()), layers.GlobalAveragePooling2D()
    ),
    "Resizing before Bidirectional(LSTM with dropout)": lambda: functional(
        layers.Resizing(6, 6),
        layers.Reshape((6, 6 * CHANNELS)),
        layers.Bidirectional(layers.LSTM(3, dropout=0.4)),
    ),
    "LSTM with dropout, which moves its seed": lambda: functional(
        layers.Reshape((PIXELS, PIXELS * CHANNELS)), layers.LSTM(3, dropout=0.4), layers.Dense(2)
    ),
    "an inner model that begins with CenterCrop": lambda: functional(
        keras.Sequential([keras.Input(IMAGE_SHAPE), layers.CenterCrop(4, 4)]), *head()
    ),
}


def _class_token(tensor: Any) -> Any:
    tokens = layers.Reshape((PIXELS * PIXELS, CHANNELS))(tensor)
    seen = layers.MultiHeadAttention(2, 3)(tokens, tokens)
    return layers.LayerNormalization()(layers.Add()([tokens, seen]))


def _squeezed(tensor: Any) -> Any:
    weights = layers.Dense(CHANNELS, activation="sigmoid")(
        layers.GlobalAveragePooling2D(keepdims=True)(tensor)
    )
    return layers.Multiply()([tensor, weights])


def _two_towers(tensor: Any) -> Any:
    left = layers.Conv2D(4, 3, padding="same", activation="relu")(tensor)
    right = layers.SeparableConv2D(4, 3, padding="same", dilation_rate=2)(tensor)
    return layers.Concatenate()([left, right, layers.UpSampling2D(2)(layers.MaxPooling2D()(left))])


def _frozen() -> Any:
    norm = layers.BatchNormalization()
    model = functional(layers.Resizing(5, 5), norm, layers.GlobalAveragePooling2D())
    norm.trainable = False
    image = keras.Input(IMAGE_SHAPE, name="image")
    return keras.Model(image, model(image, training=False))


GOOD_KERAS: Mapping[str, Callable[[], Any]] = {
    "convolutions, BatchNorm and Dropout": lambda: functional(layers.Conv2D(4, 3), *head()),
    "sequential convolutions": lambda: sequential(layers.Conv2D(4, 3), *head()),
    "a perceptron": lambda: functional(layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(3)),
    "Rescaling and Normalization before BatchNorm": lambda: functional(
        layers.Rescaling(0.5), layers.Normalization(mean=0.5, variance=2.0), *head()
    ),
    "Resizing without anything that it could train": lambda: functional(
        layers.Resizing(4, 4), layers.Flatten(), layers.Dense(3, activation="softmax")
    ),
    "Resizing before Dropout, which stores that it is off": lambda: functional(
        layers.Resizing(5, 5), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)
    ),
    "LayerNormalization": lambda: functional(layers.LayerNormalization(), layers.Flatten()),
    "GroupNormalization": lambda: functional(layers.GroupNormalization(2), layers.Flatten()),
    "UnitNormalization": lambda: functional(layers.Flatten(), layers.UnitNormalization()),
    "attention": lambda: functional(_class_token, layers.GlobalAveragePooling1D()),
    "squeeze and excite": lambda: functional(_squeezed, layers.GlobalMaxPooling2D()),
    "two towers": lambda: functional(_two_towers, layers.GlobalMaxPooling2D()),
    "LSTM": lambda: functional(
        layers.Reshape((PIXELS, PIXELS * CHANNELS)), layers.LSTM(3), layers.Dense(2)
    ),
    "Bidirectional GRU": lambda: functional(
        layers.Reshape((PIXELS, PIXELS * CHANNELS)), layers.Bidirectional(layers.GRU(3))
    ),
    "ConvLSTM": lambda: functional(
        layers.Reshape((2, 3, PIXELS, CHANNELS)), layers.ConvLSTM2D(2, 2), layers.Flatten()
    ),
    "TimeDistributed": lambda: functional(
        layers.TimeDistributed(layers.Dense(3)), layers.TimeDistributed(layers.BatchNormalization())
    ),
    "transposed convolution": lambda: functional(
        layers.Conv2DTranspose(3, 3, strides=2), layers.GlobalAveragePooling2D()
    ),
    "three-dimensional convolution": lambda: functional(
        layers.Reshape((2, 3, PIXELS, CHANNELS)), layers.Conv3D(2, 2), layers.Flatten()
    ),
    "one-dimensional convolution": lambda: functional(
        layers.Reshape((PIXELS, PIXELS * CHANNELS)), layers.Conv1D(3, 2), layers.AveragePooling1D(2)
    ),
    "padding, cropping and flipping of axes": lambda: functional(
        layers.ZeroPadding2D(2), layers.Cropping2D(1), layers.Permute((3, 1, 2)), layers.Flatten()
    ),
    "an inner model": lambda: functional(
        keras.Sequential([keras.Input(IMAGE_SHAPE), layers.Conv2D(3, 3), *head()])
    ),
    "Resizing before frozen BatchNorm": _frozen,
    "Dropout(0)(training=True)": lambda: functional(layers.Flatten(), trained(layers.Dropout(0))),
    "EinsumDense": lambda: functional(
        layers.EinsumDense("abcd,de->abce", output_shape=(None, None, 3)), layers.Flatten()
    ),
    "Discretization and Embedding": lambda: functional(
        layers.Flatten(),
        layers.Discretization([-1.0, 0.0, 1.0]),
        layers.Embedding(4, 3),
        layers.GlobalAveragePooling1D(),
    ),
    "PReLU and RepeatVector": lambda: functional(
        layers.Flatten(), layers.PReLU(), layers.RepeatVector(2)
    ),
    "a sub-classed layer": lambda: functional(OwnBlock(), layers.GlobalAveragePooling2D()),
}

# Kept from BAD_KERAS and GOOD_KERAS for `model.export`, which takes its time.
BAD_EXPORTS = (
    "functional, Resizing before BatchNorm",
    "functional, RandomFlip before BatchNorm",
    "sequential, CenterCrop before BatchNorm",
    "BatchNorm(training=True)",
    "Dropout(training=True)",
    "TimeDistributed(BatchNorm)(training=True)",
    "Bidirectional(LSTM with dropout)(training=True)",
)
GOOD_EXPORTS = (
    "convolutions, BatchNorm and Dropout",
    "sequential convolutions",
    "GroupNormalization",
    "attention",
    "LSTM",
    "TimeDistributed",
    "Resizing before frozen BatchNorm",
)


def save_module(module: Module, directory: Path) -> Path:
    """A SavedModel of any number of rows, with the signature ``serving_default``."""
    holder = module.owner or tf.Module()
    spec = tf.TensorSpec((None, *IMAGE_SHAPE), tf.float32, name="image")
    function = tf.function(module.answer, input_signature=[spec])
    tf.saved_model.save(holder, directory, signatures={"serving_default": function})
    return directory
