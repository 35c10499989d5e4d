"""What is told of each row that was selected for a shadow."""

from dataclasses import dataclass

from batchproof_server.base.events import Event, PredictionRecord


@dataclass(frozen=True, slots=True)
class ShadowRecord(Event):
    """One answered row that was selected for the shadow of its model.

    Attributes:
        version: that answered.
        shadow: that was to execute it too.
        result: ``same``, ``different`` or ``skipped``.
        distance: between the probabilities, 0 to 1; 0 where it was skipped.
        answered_s: the execution that the answer came from, where it was of the same bucket as the
            shadow's; else None.
        shadow_s: the shadow's execution; 0 where it was skipped.
        reason: why it was skipped: ``busy``, ``too_large``, ``not_ready``, ``not_comparable`` or
            ``failed``; else empty.
        scored: what the shadow answered; None where the row was skipped.
    """

    model: str
    version: int
    shadow: int
    result: str
    distance: float = 0.0
    answered_s: float | None = None
    shadow_s: float = 0.0
    reason: str = ""
    scored: PredictionRecord | None = None


RESULTS = ("same", "different", "skipped")
SKIP_REASONS = ("busy", "too_large", "not_ready", "not_comparable", "failed")
