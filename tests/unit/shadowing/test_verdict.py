"""What is said of a version beside another."""

import pytest

from batchproof_server.shadowing.records import ShadowRecord
from batchproof_server.shadowing.tally import PairTally
from batchproof_server.shadowing.verdict import ReportedTruth, assess_shadow, assess_truth


def tally(same: int, different: int, slower_s: float | None = None) -> PairTally:
    made = PairTally(since_ms=0)
    for number in range(same + different):
        is_same = number < same
        # Times differ a little, as they do.
        took_s = None if slower_s is None else 0.01 + 1e-5 * (number % 3)
        record = ShadowRecord(
            "m",
            1,
            2,
            "same" if is_same else "different",
            0.0 if is_same else 0.5,
            took_s,
            0.01 + (slower_s or 0.0),
        )
        made.add(record)
    return made


@pytest.mark.parametrize(
    ("same", "different", "judgement", "sentence"),
    [
        (0, 0, "not known", "version 8 has executed no row of 7 yet"),
        (10, 0, "not known", "too few rows to tell whether that is within the tolerance of 1.00%"),
        (1_000, 0, "not worse", "so it is right at most 0.38% less often than version 7"),
        (900, 100, "not known", "which of them is right only ground truth can tell"),
        (995, 5, "not known", "too few rows"),
    ],
)
def test_a_shadow_is_never_called_worse_without_ground_truth(
    same: int, different: int, judgement: str, sentence: str
) -> None:
    found = assess_shadow(7, 8, tally(same, different), 0.01)
    assert found.judgement == judgement
    assert sentence in found.sentences[0]


@pytest.mark.parametrize(
    ("slower_s", "word"), [(0.002, "slower: +"), (-0.002, "quicker: -"), (1e-5, "neither slower")]
)
def test_what_takes_longer_is_told_with_its_interval(slower_s: float, word: str) -> None:
    found = assess_shadow(7, 8, tally(100, 0, slower_s), 0.01)
    assert f"version 8 is {word}" in found.sentences[-1]
    assert "ms (" in found.sentences[-1]


@pytest.mark.parametrize(
    ("right", "base_right", "judgement"),
    [(800, 900, "worse"), (950, 900, "better"), (899, 900, "not known")],
)
def test_with_ground_truth_a_version_is_worse_or_not(
    right: int, base_right: int, judgement: str
) -> None:
    found = assess_truth(ReportedTruth(7, base_right, 1_000), ReportedTruth(8, right, 1_000), 0.01)
    assert found.judgement == judgement
    assert found.sentences[0].startswith(f"version 8 was right in {right} of 1000 answers")


def test_enough_ground_truth_says_that_a_version_is_not_worse() -> None:
    found = assess_truth(ReportedTruth(7, 90_000, 100_000), ReportedTruth(8, 90_010, 100_000), 0.01)
    assert found.judgement == "not worse"
    assert "by more than the tolerance of 1.00%" in found.sentences[0]


def test_reasons_are_counted_apart() -> None:
    made = PairTally(since_ms=0)
    for reason in ("busy", "failed", "busy"):
        made.add(ShadowRecord("m", 1, 2, "skipped", reason=reason))
    assert (made.compared, dict(made.skipped)) == (0, {"busy": 2, "failed": 1})
