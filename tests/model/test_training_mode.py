"""What a model answers in training mode, for a diagnosis; it is afterwards as it was before."""

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
    for draws in (3, 20):  # eager, and as a graph
        one = source.in_training_mode(inputs, statistics=True, dropout=False, draws=draws)
        assert one["scores"] == pytest.approx(np.repeat(one["scores"][:1], draws, axis=0))
        assert one["scores"][:1] == pytest.approx(
            source.in_training_mode(inputs, statistics=True, dropout=False)["scores"], abs=1e-5
        )
        both = source.in_training_mode(inputs, statistics=True, dropout=True, draws=draws)
        assert len(np.unique(both["scores"].round(5), axis=0)) > 1
    assert np.array_equal(source.predict({"image": ROWS}, 8)["scores"], before)
    after = built.get_weights()  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(weights, after, strict=True))
