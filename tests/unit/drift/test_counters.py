"""Counting signals in the bins of a profile."""

import numpy as np
import pytest

from batchproof_server.drift.calibration import negative_entropy
from batchproof_server.drift.counters import UNUSABLE_REASONS, Ruler
from batchproof_server.drift.summarising import summarise
from support.drift_fixtures import profile, signals, subject


def test_the_reference_itself_falls_into_the_counts_of_the_profile() -> None:
    reference = profile(rows=400, seed=3)
    ruler = Ruler(reference)
    counts = ruler.counted(signals(400, seed=3))
    assert counts.bins[0].tolist()[:3] == reference.class_groups().counts.tolist()
    for place, name in enumerate(ruler.names[1:], start=1):
        expected = reference.signals[name].counts
        assert counts.bins[place].tolist() == [*expected, *[0] * (20 - len(expected))]
        assert counts.deviation_sum[place] / 400 - 10 == pytest.approx(0, abs=0.2)
    assert counts.atc_above == round(reference.accuracy_ratio * 400)
    assert counts.unusable.tolist() == [0, 0]


def test_a_deviation_is_clipped_and_raised_so_that_its_sum_only_grows() -> None:
    reference = profile()
    made = signals(4)
    brightness = reference.signals["brightness"]
    far = [brightness.mean, brightness.mean + brightness.stddev, 1e9, -1e9]
    made.values["brightness"][:] = far
    ruler = Ruler(reference)
    counts = ruler.counted(made)
    assert counts.deviation_sum[ruler.names.index("brightness")] == pytest.approx(10 + 11 + 20 + 0)


def test_a_signal_that_a_row_does_not_have_is_no_observation() -> None:
    made = signals(10)
    made.values["brightness"][:4] = np.nan
    ruler = Ruler(profile())
    counts = ruler.counted(made)
    assert counts.bins[ruler.names.index("brightness")].sum() == 6
    assert counts.bins[ruler.names.index("confidence")].sum() == 10
    assert counts.unusable.tolist() == [0, 0]


def test_an_infinite_value_is_unusable_alone_and_other_rows_are_told() -> None:
    made = signals(10)
    made.values["tensor_mean"][2] = -np.inf
    ruler = Ruler(profile())
    counts = ruler.counted(made, not_finite=3)
    assert dict(zip(UNUSABLE_REASONS, counts.unusable.tolist(), strict=True)) == {
        "not_finite": 4,
        "class_out_of_range": 0,
    }
    assert counts.bins[ruler.names.index("tensor_mean")].sum() == 9
    assert counts.bins[0].sum() == 10


def test_a_class_that_the_profile_does_not_know_is_counted_as_unusable_only() -> None:
    made = signals(50, classes=5)
    beyond = int((made.classes >= 3).sum())
    assert beyond > 0
    counts = Ruler(profile(classes=3)).counted(made)
    assert counts.unusable.tolist() == [0, beyond]
    assert counts.bins.sum(axis=1).max() == 50 - beyond
    assert counts.atc_above <= 50 - beyond


def test_the_atc_counter_counts_scores_at_or_above_the_threshold() -> None:
    reference, made = profile(), signals(200, seed=9)
    scores = negative_entropy(made.log_probabilities, reference.calibration.temperature)
    expected = int((scores >= reference.atc.threshold).sum())
    assert Ruler(reference).counted(made).atc_above == expected


def test_a_constant_signal_has_no_deviation_until_it_changes() -> None:
    constant = signals(200)
    constant.values["aspect_ratio"][:] = 0.7
    ruler = Ruler(summarise(subject(), constant, constant.classes))
    place = ruler.names.index("aspect_ratio")
    assert ruler.counted(constant).deviation_sum[place] == pytest.approx(2000)
    constant.values["aspect_ratio"][:] = 0.8
    changed = ruler.counted(constant)
    assert changed.deviation_sum[place] == pytest.approx(4000)
    assert changed.bins[place].tolist()[:3] == [0, 0, 200]


def test_of_many_classes_the_groups_of_the_profile_are_counted() -> None:
    reference, made = profile(rows=400, classes=60, seed=3), signals(200, classes=60, seed=4)
    ruler, groups = Ruler(reference), reference.class_groups()
    counts = ruler.counted(made)

    assert ruler.names[0] == groups.signal == "class_group"
    expected = np.bincount(groups.group_of[made.classes], minlength=20)
    assert counts.bins[0].tolist() == expected.tolist()
