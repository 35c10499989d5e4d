"""Whether the model knows its training pictures by heart."""

from dataclasses import replace
from pathlib import Path

from batchproof_server.diagnosis.checks.overfitting import OverfittingCheck, accuracy
from batchproof_server.diagnosis.findings import CheckResult, Level
from batchproof_server.diagnosis.training_curve import TrainingCurve
from batchproof_server.drift.profile import ReferenceProfile, ece_ratio
from batchproof_server.models.profiles import read_profile
from support.diagnosed import case, subject

BUNDLE = Path(__file__).resolve().parents[3] / "examples/fashion_mnist/models/fashion-mnist/1"
PROFILE = read_profile(BUNDLE / "profile.json")
CALIBRATION = PROFILE.calibration
PERFECT = replace(
    PROFILE,
    accuracy_ratio=1.0,
    classes=tuple(
        replace(each, right=each.pictures, answered=each.pictures) for each in PROFILE.classes
    ),
    calibration=replace(
        CALIBRATION,
        right=CALIBRATION.pictures,
        ece_ratio=ece_ratio(CALIBRATION.pictures, CALIBRATION.pictures, CALIBRATION.confidence_sum),
    ),
)


def looked_at(
    reference: ReferenceProfile | None,
    training: ReferenceProfile | None,
    curve: TrainingCurve | None = None,
) -> CheckResult:
    about = subject(reference, training_profile=training, training_curve=curve)
    (found,) = OverfittingCheck().look(case(subject=about))
    return found


def test_a_model_that_is_right_on_its_training_pictures_alone_is_overfitted() -> None:
    found = looked_at(PROFILE, PERFECT)
    assert found.level is Level.SUSPICIOUS
    assert found.number == 1 - accuracy(PROFILE)
    assert found.evidence.startswith("Right on 100.0% of ")


def test_how_the_training_went_is_part_of_the_evidence() -> None:
    curve = TrainingCurve(1, "val_loss", "lowest", 1, ({"val_loss": 0.5}, {"val_loss": 0.75}))
    assert looked_at(PROFILE, PERFECT, curve).evidence.endswith("at the last it was 0.75.")


def test_a_model_that_is_as_good_on_others_is_not() -> None:
    assert looked_at(PROFILE, PROFILE).level is Level.FINE
    assert looked_at(PERFECT, PROFILE).level is Level.FINE


def test_without_both_profiles_the_check_says_what_is_missing_and_accuses_nobody() -> None:
    found = looked_at(PROFILE, None)
    assert found.level is Level.FINE
    assert found.number is None
    assert "profile-training.json" in found.evidence
