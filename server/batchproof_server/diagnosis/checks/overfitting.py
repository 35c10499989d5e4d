"""Whether the model knows its training pictures by heart."""

import math
from dataclasses import dataclass
from typing import Final

from batchproof_server.diagnosis.case import Case
from batchproof_server.diagnosis.findings import CheckResult, Level, Threshold
from batchproof_server.drift.profile import ReferenceProfile, right_pictures

_GAP: Final = Threshold(
    0.05, "a gap in accuracy that few accept; it must also be above three standard errors"
)
_STANDARD_ERRORS: Final = 3.0


@dataclass(frozen=True, slots=True)
class OverfittingCheck:
    """The profile of the training pictures against that of the reference pictures."""

    question: str = "Does the model know its training pictures by heart?"

    def look(self, case: Case) -> tuple[CheckResult, ...]:
        """Accuracy, calibration and confidence of both, and how the training went."""
        reference, training = case.subject.profile, case.subject.training_profile
        if reference is None or training is None:
            text = (
                "Not compared: the bundle needs profile.json of pictures the model has not seen, "
                "and profile-training.json of those it was trained on."
            )
            return (CheckResult("overfitting", "overfitting", None, None, Level.FINE, text),)
        curve = case.subject.training_curve
        return (_gap(training, reference, "" if curve is None else f" {curve.summary}"),)


def _gap(training: ReferenceProfile, reference: ReferenceProfile, trained: str) -> CheckResult:
    of_training, of_reference = accuracy(training), accuracy(reference)
    gap = of_training - of_reference
    # Of a difference of two shares (Wald): both are counted on pictures of their own.
    error = math.sqrt(
        of_training * (1 - of_training) / training.pictures
        + of_reference * (1 - of_reference) / reference.pictures
    )
    overfits = gap > _GAP.value and gap > _STANDARD_ERRORS * error
    return CheckResult(
        "overfitting", "the model is overfitted", gap, _GAP,
        Level.SUSPICIOUS if overfits else Level.FINE,
        f"Right on {of_training:.1%} of {training.pictures} training pictures and on "
        f"{of_reference:.1%} of {reference.pictures} others; mean confidence "
        f"{_confidence(training):.1%} and {_confidence(reference):.1%}, expected calibration error "
        f"{training.calibration.ece_ratio:.3f} and {reference.calibration.ece_ratio:.3f}.{trained}",
        "Train with more pictures, augmentation or regularisation, or stop earlier."
        if overfits else "", weight=0.2,
    )  # fmt: skip


def accuracy(profile: ReferenceProfile) -> float:
    """The share of the pictures that were answered right."""
    return right_pictures(profile) / profile.pictures


def _confidence(profile: ReferenceProfile) -> float:
    return sum(profile.calibration.confidence_sum) / profile.pictures
