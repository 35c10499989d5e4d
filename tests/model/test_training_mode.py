"""What a model answers in training mode, for a diagnosis; it is afterwards as it was before."""

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")


def model() -> object:
    keras.utils.set_random_seed(3)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(3, name="scores")(x))


ROWS = np.repeat(np.random.default_rng(0).random((1, 6, 6, 1), np.float32), 8, axis=0)


def test_each_part_of_training_mode_is_switched_by_itself_and_leaves_no_trace() -> None:
    from batchproof_server.backends.keras.source import KerasSource  # noqa: PLC0415 - TensorFlow

    built = model()
    source = KerasSource(built)
    before = source.predict({"image": ROWS}, 8)["scores"]
    weights = [each.copy() for each in built.get_weights()]  # type: ignore[attr-defined]

    def answer(*, statistics: bool, dropout: bool) -> np.ndarray:
        inputs = {"image": ROWS}
        return source.in_training_mode(inputs, statistics=statistics, dropout=dropout)["scores"]

    assert np.allclose(answer(statistics=False, dropout=False), before, atol=1e-5)
    normed = answer(statistics=True, dropout=False)
    assert np.allclose(normed, normed[0], atol=1e-5)
    assert not np.allclose(normed, before, atol=1e-2)
    drawn = answer(statistics=False, dropout=True)
    assert len(np.unique(drawn.round(5), axis=0)) > 1
    assert len(np.unique(answer(statistics=True, dropout=True).round(5), axis=0)) > 1
    assert np.array_equal(source.predict({"image": ROWS}, 8)["scores"], before)
    inputs = {"image": ROWS[:1]}
    drawn_both = source.draw_in_training_mode(inputs, lambda d: len(d) == 5, statistics=True)
    assert len(np.unique(np.concatenate([each["scores"] for each in drawn_both]), axis=0)) > 1
    assert np.array_equal(source.predict({"image": ROWS}, 8)["scores"], before)
    after = built.get_weights()  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(weights, after, strict=True))


def test_a_model_that_cannot_be_traced_is_drawn_all_the_same() -> None:
    from batchproof_server.backends.keras.source import KerasSource  # noqa: PLC0415 - TensorFlow

    class Looking(keras.layers.Layer):  # type: ignore[misc, name-defined]  # Keras ships no types
        """Looks at the values of rows that it is trained with."""

        def call(self, rows: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002 - Keras' own signature
            return rows + float(rows.numpy().mean()) if training else rows

    image = keras.Input((4,), name="image")
    scores = keras.layers.Dense(3, name="scores")(Looking()(keras.layers.Dropout(0.5)(image)))
    source = KerasSource(keras.Model(image, scores))
    inputs = {"image": np.ones((1, 4), np.float32)}
    drawn = source.draw_in_training_mode(inputs, lambda draws: len(draws) == 8, statistics=False)
    assert len(drawn) == 8
    assert len({each["scores"].tobytes() for each in drawn}) > 1
