"""What is said of the drift of a shadow."""

import numpy as np

from batchproof_server.drift.comparing import DriftComparison, compare_counts
from batchproof_server.drift.counters import Ruler
from batchproof_server.drift.signals import Signals
from batchproof_server.shadowing.drifting import tell_drift
from support.drift_fixtures import profile


def compared(confidence: float | None, rows: int = 400) -> DriftComparison:
    """So many rows, all of one confidence; or none."""
    known = profile()
    ruler = Ruler(known)
    counts = ruler.nothing()
    if confidence is not None:
        values = {"confidence": np.full(rows, confidence)}
        classes = np.zeros(rows, np.int64)
        logs = np.log(np.full((rows, len(known.classes)), 0.1))
        counts = ruler.counted(Signals(classes, values, logs))
    return compare_counts(known, counts, confidence or 0.0)


def loaded_ms(_model: str, version: int) -> int:
    """Version 8 was loaded a day after version 7."""
    return {7: 0, 8: 86_400_000}[version]


def test_a_shadow_without_a_profile_is_said_to_have_none() -> None:
    assert tell_drift("m", 8, 7, {("m", 7): compared(None)}, loaded_ms) == (
        "version 8 has no reference profile, so its drift is not known",
    )


def test_what_drifts_is_named_with_how_far_and_the_version_that_answers_stands_beside_it() -> None:
    drifts = {("m", 8): compared(0.999), ("m", 7): compared(None), ("n", 8): compared(None)}
    own, other = tell_drift("m", 8, 7, drifts, loaded_ms)
    since = "since it was loaded at 1970-01-02T00:00:00+00:00"
    assert own.startswith(f"version 8 beside its own reference: severe in 400 rows {since}: class ")
    assert "; confidence severe (PSI +" in own
    since = "since it was loaded at 1970-01-01T00:00:00+00:00"
    assert other == f"version 7 beside its own: not seen in 0 rows {since}"


def test_of_a_version_without_a_profile_that_answers_nothing_is_said() -> None:
    assert len(tell_drift("m", 8, 7, {("m", 8): compared(None)}, loaded_ms)) == 1
