"""Trains the colour classifier of the recipes' tests and writes its bundle.

    python examples/garments/train.py

The garments are those of Fashion-MNIST (60,000 to train with), the photographs are drawn by
``drawing.py``. What training does to a picture is ``seen``; the manifest declares the same.
"""

import argparse
import gzip
import io
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL
import tensorflow as tf
from drawing import GARMENTS, LABELS, Bytes, folder_of, open_studio
from numpy.typing import NDArray
from PIL import Image, ImageOps

MANIFEST = """\
format = 1
description = "Ten kinds of coloured garments on textured grounds: a small CNN, 96 x 96, colour"

[output]
kind = "logits"

[recipe]
color = "rgb"
orientation = "apply"
resize = { width = 96, height = 96, library = "pillow", method = "bilinear", \
policy = "short_side_center_crop", short_side = 110 }
normalize = { divisor = 255.0, mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }
"""
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
HERE = Path(__file__).resolve().parent
SIDE_PIXELS, SHORT_SIDE_PIXELS = 96, 110
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SAMPLES_PER_CLASS = 2
SMALLEST_ACCURACY = 0.8
BATCH_ROWS = 50


def seen(file: bytes) -> Bytes:
    """What training sees of a JPEG file: uint8 [96, 96, 3], upright, the middle of it."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    width, height = picture.size
    long = int(SHORT_SIDE_PIXELS * max(width, height) / min(width, height))
    size = (SHORT_SIDE_PIXELS, long) if width <= height else (long, SHORT_SIDE_PIXELS)
    resized = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = (round((side - SIDE_PIXELS) / 2) for side in size)
    return np.asarray(resized.crop((left, top, left + SIDE_PIXELS, top + SIDE_PIXELS)))


def scaled(pixels: Bytes) -> NDArray[np.float32]:
    """The model's input of what is seen: float32 of the same shape."""
    return (pixels.astype(np.float32) / np.float32(255) - MEAN) / STD


@dataclass(frozen=True)
class Photographs:
    """Files and what is on them.

    Attributes:
        files: JPEG.
        pixels: uint8 [files, 96, 96, 3], as ``seen``.
        labels: uint8 [files], the index into ``LABELS``.
    """

    files: list[bytes]
    pixels: Bytes
    labels: Bytes


def photograph(images: Bytes, labels: Bytes, seed: int) -> Photographs:
    """One photograph of each garment."""
    studio = open_studio(seed)
    files = [
        studio.photograph(image, int(label)) for image, label in zip(images, labels, strict=True)
    ]
    return Photographs(files, np.stack([seen(file) for file in files]), labels)


def read_garments(folder: Path, count: int) -> tuple[Bytes, Bytes]:
    """The first garments that Fashion-MNIST has to train with, and their labels.

    Raises:
        OSError: a file is missing or damaged.
    """
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels[:count], np.frombuffer(labels, np.uint8, offset=8)[:count]


def build_model() -> Any:
    """The CNN: image float32 [rows, 96, 96, 3] in, logits float32 [rows, 10] out."""
    image = keras.Input((SIDE_PIXELS, SIDE_PIXELS, 3), name="image")
    x = _convolve(image, 16, 5, "conv1")
    x = _convolve(x, 32, 3, "conv2")
    x = keras.layers.MaxPooling2D(name="pool2")(x)
    x = _convolve(x, 64, 3, "conv3", strides=1)
    x = keras.layers.MaxPooling2D(name="pool3")(x)
    x = _convolve(x, 96, 3, "conv4", strides=1)
    x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(10, name="logits")(x), name="garments")


def _convolve(x: Any, filters: int, size: int, name: str, strides: int = 2) -> Any:
    x = keras.layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, name=name
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def train(photographs: Photographs, epochs: int, seed: int) -> tuple[Any, dict[str, list[float]]]:
    """Trains from scratch; half of the pictures are mirrored, anew in each epoch."""
    keras.utils.set_random_seed(seed)
    model = build_model()
    inputs, labels = scaled(photographs.pixels), photographs.labels
    steps = len(labels) // BATCH_ROWS
    rate = keras.optimizers.schedules.CosineDecay(
        2e-4, steps * (epochs - 1) or 1, warmup_target=3e-3, warmup_steps=steps
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    random = np.random.default_rng(seed)
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for epoch in range(epochs):
        mirrored = random.random((len(labels), 1, 1, 1)) < 0.5  # noqa: PLR2004 - a fair coin
        batch = np.where(mirrored, inputs[:, :, ::-1], inputs)
        fitted = model.fit(
            batch, labels, batch_size=BATCH_ROWS, initial_epoch=epoch, epochs=epoch + 1, verbose=2
        )
        for name in history:
            history[name] += fitted.history[name]
    plain = build_model()
    plain.set_weights(model.get_weights())
    return plain, history


def accuracy_of(model: Any, photographs: Photographs) -> tuple[float, float]:
    """The share of pictures whose most likely class is right, and the mean NLL in nats."""
    logits = model.predict(scaled(photographs.pixels), batch_size=100, verbose=0).astype(np.float64)
    shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    nll = -shares[np.arange(len(logits)), photographs.labels].mean()
    return float((logits.argmax(axis=1) == photographs.labels).mean()), float(nll)


def write_bundle(bundle: Path, model: Any, tested: Photographs, record: Mapping[str, Any]) -> None:
    """Writes the bundle, with the first photographs of each class as its samples."""
    samples = bundle / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    for label in range(len(LABELS)):
        rows = np.flatnonzero(tested.labels == label)[:SAMPLES_PER_CLASS]
        for number, row in enumerate(rows, start=1):
            name = f"{folder_of(label)}-{number}.jpg"
            (samples / name).write_bytes(tested.files[row])
    model.save(bundle / "model.keras")
    (bundle / "batchproof.toml").write_text(MANIFEST, encoding="utf-8")
    (bundle / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    text = json.dumps(record, indent=2) + "\n"
    (bundle / "training.json").write_text(text, encoding="utf-8")


def _record(
    arguments: argparse.Namespace, model: Any, history: Mapping[str, Any]
) -> dict[str, Any]:
    rounded = {name: [round(value, 5) for value in values] for name, values in history.items()}
    return {
        "data": "garments of Fashion-MNIST (MIT), photographs drawn by drawing.py",
        "train_pictures": arguments.count,
        "seeds": {"train": arguments.seed, "test": arguments.seed + 1},
        "epochs": arguments.epochs,
        "batch_rows": BATCH_ROWS,
        "optimizer": "AdamW, weight decay 0.02, an epoch of warm-up to 0.003, then cosine",
        "augmentation": "left-right mirror with probability 0.5",
        "selection": "the last epoch",
        "parameters": model.count_params(),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        },
        "history": rounded,
    }


def main() -> int:
    """Draws, trains, measures, writes; 1 when the model is below the accuracy we promise."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DEBIAN_FOLDER, help="folder of the IDX files")
    parser.add_argument("--output", type=Path, default=HERE / "models/garments/1", help="bundle")
    parser.add_argument("--count", type=int, default=9_000, help="pictures to train with")
    parser.add_argument("--epochs", type=int, default=10, help="passes over them")
    parser.add_argument("--seed", type=int, default=1701, help="of pictures, weights and order")
    arguments = parser.parse_args()
    try:
        images, labels = read_garments(arguments.data, arguments.count)
        with np.load(GARMENTS) as test:
            tested = photograph(test["images"], test["labels"], arguments.seed + 1)
    except OSError as fault:
        sys.exit(f"{arguments.data}: no garments ({fault}); see README.md")
    model, history = train(
        photograph(images, labels, arguments.seed), arguments.epochs, arguments.seed
    )
    accuracy, nll = accuracy_of(model, tested)
    record = _record(arguments, model, history)
    record["test"] = {"pictures": len(tested.files), "accuracy": accuracy, "nll": round(nll, 4)}
    write_bundle(arguments.output, model, tested, record)
    print(f"{accuracy:.2%} of {len(tested.files)} test pictures are right, NLL {nll:.3f}")
    return 0 if accuracy >= SMALLEST_ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
