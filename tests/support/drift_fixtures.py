"""Predictions, signals and profiles that a test makes up from a seed."""

from dataclasses import replace

import numpy as np

from batchproof_server.base.events import PredictionRecord
from batchproof_server.base.input_statistics import InputStatistics, SeenPixels
from batchproof_server.base.scores import score
from batchproof_server.base.signature import Array
from batchproof_server.drift.pictures import input_values
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import NUMERIC_SIGNALS, Signals, prediction_signals
from batchproof_server.drift.summarising import Frame, ProfiledModel, summarise
from batchproof_server.drift.tta_reference import TtaReference

MODEL_DIGEST = "aa" * 32
RECIPE_DIGEST = "bb" * 32
TTA = TtaReference("flip", "cc" * 32, ("identity", "hflip"), "mean", None, ())


def subject(classes: int = 3) -> ProfiledModel:
    """A model and its labels."""
    return ProfiledModel(MODEL_DIGEST, RECIPE_DIGEST, tuple(f"class {k}" for k in range(classes)))


def logits(rows: int, classes: int = 3, seed: int = 0) -> Array:
    """Logits from unsure to sure."""
    numbers = np.random.default_rng(seed)
    sharpness = numbers.uniform(0.1, 6, (rows, 1))
    return (numbers.normal(0, 1, (rows, classes)) * sharpness).astype(np.float32)


def _inputs(rows: int, seed: int) -> InputStatistics:
    numbers = np.random.default_rng(seed + 1)
    lumas = (numbers.random((rows, 8, 8)) * numbers.uniform(10, 255, (rows, 1, 1))).astype(np.uint8)
    colours = numbers.integers(0, 256, (rows, 16, 3)).astype(np.uint8)
    return InputStatistics(
        pixels=tuple(map(SeenPixels, lumas, _middles(numbers, rows), colours)),
        aspect_ratios=numbers.uniform(0.5, 2, rows),
        tensor_means=numbers.uniform(0, 1, rows),
    )


def _middles(numbers: np.random.Generator, rows: int) -> Array:
    return numbers.integers(0, 256, (rows, 24, 24)).astype(np.uint8)


def record(
    rows: int, classes: int = 3, seed: int = 0, *, inputs: bool = True, version: int = 1
) -> PredictionRecord:
    """What the engine says of one request."""
    scores = score(logits(rows, classes, seed), "logits")
    seen = _inputs(rows, seed) if inputs else None
    return PredictionRecord("shoes", version, "id", scores, seen)


def signals(rows: int, classes: int = 3, seed: int = 0) -> Signals:
    """The signals of ``record``, but those of test-time augmentation."""
    made = record(rows, classes, seed)
    assert made.inputs is not None
    of = made.scores
    known = prediction_signals(of.probabilities, of.logits, of.entropy, of.decided)
    values = {**known.values, **input_values([made.inputs])}
    assert set(values) <= set(NUMERIC_SIGNALS)
    return Signals(known.classes, values, known.log_probabilities)


def part(whole: Signals, rows: slice) -> Signals:
    """Some of the rows."""
    values = {name: array[rows] for name, array in whole.values.items()}
    return Signals(whole.classes[rows], values, whole.log_probabilities[rows])


def truth(whole: Signals, seed: int = 0) -> Array:
    """True classes: mostly what was answered."""
    numbers = np.random.default_rng(seed)
    classes = whole.log_probabilities.shape[1]
    random = numbers.integers(0, classes, len(whole.classes))
    return np.where(numbers.random(len(whole.classes)) < 0.8, whole.classes, random)


def augmented_profile(seed: int = 0, tta: TtaReference = TTA) -> ReferenceProfile:
    """The profile of some pictures that were looked at twice."""
    plain = signals(400, seed=seed)
    numbers = np.random.default_rng(seed + 2)
    flips = numbers.integers(0, 2, 400) * numbers.integers(0, 2, 400) / 2
    values = {**plain.values, "tta_flip_rate": flips, "tta_mutual_information": flips * 0.3}
    made = Signals(plain.classes, values, plain.log_probabilities)
    return summarise(replace(subject(), tta=tta), made, truth(plain, seed))


def profile(
    rows: int = 400, classes: int = 3, seed: int = 0, frame: Frame | None = None
) -> ReferenceProfile:
    """The profile of some pictures."""
    made = signals(rows, classes, seed)
    return summarise(subject(classes), made, truth(made, seed), frame)
