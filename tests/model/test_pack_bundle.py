"""``batchproof.keras.PackBundle``: a bundle at the end of ``fit``, with nothing to remember."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from batchproof.keras import NotPacked, PackBundle, Pictures
from batchproof_server.diagnosis.training_curve import parse_training_curve
from batchproof_server.models.profiles import read_profile

SIDE = 8
COLOURS = ("red", "green", "blue")


def pictures(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures of noise, and which channel is the brightest."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, 3, count)
    images = random.integers(0, 160, (count, SIDE, SIDE, 3))
    images[np.arange(count), :, :, classes] += 90
    return images.astype(np.uint8), classes


def classifier() -> keras.Model:
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(means))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Watcher(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Has the weights of every epoch, and spoils the training after the second."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[NDArray[Any]]] = []

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Learns for two epochs, and unlearns."""
        del logs
        self.model.optimizer.learning_rate = 5.0 if epoch < 2 else -20.0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the weights."""
        del epoch, logs
        self.weights.append(self.model.get_weights())


@dataclass(frozen=True)
class Trained:
    """A training of three epochs that ended with a bundle."""

    bundle: Path
    weights: list[list[NDArray[Any]]]
    left: list[NDArray[Any]]
    history: dict[str, list[float]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    repository = tmp_path_factory.mktemp("packed") / "models"
    train, validation = pictures(400, 1), pictures(150, 2)
    packing = PackBundle(
        repository, "colours", data=validation, training_data=train, labels=COLOURS
    )
    watcher, model = Watcher(), classifier()
    done = model.fit(
        train[0].astype("float32"), train[1], epochs=3, verbose=0,
        validation_data=(validation[0].astype("float32"), validation[1]),
        callbacks=[watcher, packing],
    )  # fmt: skip
    assert packing.bundle == repository / "colours" / "1"
    return Trained(packing.bundle, watcher.weights, model.get_weights(), done.history)


def test_the_bundle_has_the_weights_of_the_best_epoch(trained: Trained) -> None:
    losses = trained.history["val_loss"]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1

    packed = keras.saving.load_model(trained.bundle / "model.keras", compile=False).get_weights()

    for got, expected in zip(packed, trained.weights[best], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_model_is_left_as_fit_leaves_it(trained: Trained) -> None:
    for got, expected in zip(trained.left, trained.weights[-1], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_figures_of_every_epoch_are_in_the_bundle(trained: Trained) -> None:
    curve = parse_training_curve((trained.bundle / "training-curve.json").read_text())

    assert curve.monitor == "val_loss"
    assert curve.kept == int(np.argmin(trained.history["val_loss"])) + 1
    for epoch, figures in enumerate(curve.epochs):
        assert figures == {name: values[epoch] for name, values in trained.history.items()}


def test_both_profiles_and_the_labels_are_in_the_bundle(trained: Trained) -> None:
    reference = read_profile(trained.bundle / "profile.json")
    training = read_profile(trained.bundle / "profile-training.json")

    assert (reference.pictures, training.pictures) == (150, 400)
    assert [each.label for each in reference.classes] == list(COLOURS)
    assert reference.accuracy_ratio > 0.9
    certificate = json.loads((trained.bundle / "certificate.json").read_text())
    assert certificate["verdict"] == "proven"


def test_a_second_training_into_the_same_version_is_refused_before_it_begins(
    trained: Trained,
) -> None:
    with pytest.raises(ValueError, match=r"colours/1: exists already and is not overwritten"):
        PackBundle(trained.bundle.parents[1], "colours", data=pictures(10, 1))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param("no/such/folder", "data: no/such/folder: no such file", id="no folder"),
        pytest.param(
            (np.zeros((4, 8, 8, 3), "f4"), [0] * 4), r"float32 \[4, 8, 8, 3\]", id="floats"
        ),
        pytest.param((np.zeros((4, 8), np.uint8), [0] * 4), r"uint8 \[4, 8\]", id="no pictures"),
        pytest.param(
            (np.zeros((4, 8, 8, 3), np.uint8), np.eye(4)), r"labels \[4, 4\]", id="one-hot"
        ),
    ],
)
def test_data_that_cannot_be_used_are_refused_before_the_training(
    tmp_path: Path, data: Pictures, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        PackBundle(tmp_path, "colours", data=data)


def test_a_figure_that_fit_does_not_give_ends_the_training_with_its_first_epoch(
    tmp_path: Path,
) -> None:
    images, classes = pictures(20, 1)
    packing = PackBundle(tmp_path, "colours", data=(images, classes))

    with pytest.raises(ValueError, match="val_loss"):
        classifier().fit(images.astype("f4"), classes, verbose=0, callbacks=[packing])


def test_what_pack_refuses_leaves_the_best_weights_and_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, classes = pictures(20, 1)
    packing = PackBundle(
        tmp_path, "colours", data=(images, classes), labels=("red", "green"), monitor="loss"
    )

    with pytest.raises(NotPacked) as refused:
        classifier().fit(images.astype("f4"), classes, verbose=0, callbacks=[packing])

    kept = Path(str(refused.value).split(" pack ", 1)[1].split()[0])
    assert keras.saving.load_model(kept, compile=False).count_params() > 0
    assert "2 labels" in capsys.readouterr().out
    assert not (tmp_path / "colours").exists()


def test_a_training_without_a_finite_figure_packs_nothing(tmp_path: Path) -> None:
    packing = PackBundle(tmp_path, "colours", data=pictures(20, 1), monitor="loss")
    packing.on_train_begin()
    packing.on_epoch_end(0, {"loss": float("nan")})

    with pytest.raises(NotPacked, match='no epoch had a finite "loss"'):
        packing.on_train_end()


@pytest.mark.parametrize(
    ("monitor", "figures", "kept"),
    [
        ("val_loss", (0.5, 0.3, 0.4), 2),
        ("val_accuracy", (0.5, 0.8, 0.7), 2),
        ("val_auc", (0.9, float("nan"), 0.8), 1),
    ],
)
def test_the_best_epoch_is_told_by_the_name_of_the_figure(
    tmp_path: Path, monitor: str, figures: tuple[float, ...], kept: int
) -> None:
    packing = PackBundle(tmp_path, "colours", data=pictures(20, 1), monitor=monitor)
    packing.set_model(classifier())
    packing.on_train_begin()

    for epoch, figure in enumerate(figures):
        packing.on_epoch_end(epoch, {monitor: figure})

    assert packing._kept is not None
    assert packing._kept[0] == kept
