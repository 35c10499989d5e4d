"""From answers to a profile, and adding profiles up."""

from dataclasses import replace

import numpy as np
import pytest

from batchproof_server.drift.colours import COLOUR_SIGNALS
from batchproof_server.drift.merging import CannotMerge, merge_profiles
from batchproof_server.drift.profile_form import parse_profile, profile_json
from batchproof_server.drift.signals import LATER_SIGNALS, Signals
from batchproof_server.drift.summarising import CannotProfile, frame_of, summarise
from support.drift_fixtures import TTA, augmented_profile, part, profile, signals, subject, truth


def test_a_profile_says_what_numpy_says_of_the_same_answers() -> None:
    made = signals(500)
    classes = truth(made)
    built = summarise(subject(), made, classes)
    assert built.pictures == 500
    assert built.accuracy_ratio == np.mean(made.classes == classes)
    assert [each.pictures for each in built.classes] == np.bincount(classes).tolist()
    assert built.class_groups().counts.tolist() == np.bincount(made.classes, minlength=3).tolist()
    for name, signal in built.signals.items():
        values = made.values[name]
        assert signal.mean == pytest.approx(values.mean())
        assert signal.stddev == pytest.approx(values.std())
        assert (signal.min, signal.max) == (values.min(), values.max())
        expected = [np.sum(values < signal.edges[0]), np.sum(values >= signal.edges[-1])]
        assert [signal.counts[0], signal.counts[-1]] == expected


def test_as_many_pictures_reach_the_atc_threshold_as_are_right() -> None:
    made = signals(500)
    built = summarise(subject(), made, truth(made))
    above = sum(built.atc.counts[built.atc.edges.index(built.atc.threshold) + 1 :])
    assert above / 500 == pytest.approx(built.accuracy_ratio)


def test_more_than_20_classes_are_counted_in_groups_and_19_of_them_have_their_own_figures() -> None:
    built = profile(rows=600, classes=40)
    answered = np.array([each.answered for each in built.classes])
    assert built.class_bins == tuple(np.argsort(-answered, kind="stable")[:19].tolist())
    groups = built.class_groups()
    assert groups.signal == "class_group"
    assert groups.counts.sum() == pytest.approx(300, abs=40)


def test_a_wrong_model_that_is_never_right_has_a_profile_too() -> None:
    made = signals(200)
    built = summarise(subject(), made, (made.classes + 1) % 3)
    assert built.accuracy_ratio == 0
    assert parse_profile(profile_json(built)) == built


def test_pictures_of_one_channel_have_a_profile_without_colours() -> None:
    made = signals(200)
    nothing = np.full(200, np.nan)
    grey = replace(made, values={**made.values, **dict.fromkeys(COLOUR_SIGNALS, nothing)})
    built = summarise(subject(), grey, truth(made))
    assert set(made.values) - set(built.signals) == set(COLOUR_SIGNALS)
    tints = np.where(np.arange(200) == 1, np.nan, made.values["tint"])
    some = replace(made, values={**made.values, "tint": tints})
    with pytest.raises(CannotProfile, match="tint of picture 1 is not finite"):
        summarise(subject(), some, truth(made))


def test_a_profile_of_0_1_0_gets_a_part_without_the_signals_that_came_later() -> None:
    first, second = signals(200), signals(150, seed=1)
    values = {name: each for name, each in first.values.items() if name not in LATER_SIGNALS}
    old = summarise(subject(), replace(first, values=values), truth(first))
    new = summarise(subject(), second, truth(second), frame_of(old))
    assert set(new.signals) == set(old.signals) == set(second.values) - set(LATER_SIGNALS)
    assert merge_profiles(old, new).pictures == 350


def test_too_few_pictures_make_no_profile_but_may_be_a_part_of_one() -> None:
    few = signals(99)
    with pytest.raises(CannotProfile, match="99 pictures, expected 100 or more"):
        summarise(subject(), few, truth(few))
    assert summarise(subject(), few, truth(few), frame_of(profile())).pictures == 99


def test_a_value_that_is_not_finite_makes_no_profile() -> None:
    made = signals(200)
    made.values["tensor_mean"][7] = np.inf
    with pytest.raises(CannotProfile, match="tensor_mean of picture 7 is not finite"):
        summarise(subject(), made, truth(made))


def test_a_frame_of_other_signals_or_classes_is_refused() -> None:
    made = signals(200)
    fewer = {name: values for name, values in made.values.items() if name != "energy"}
    without = Signals(made.classes, fewer, made.log_probabilities)
    with pytest.raises(CannotProfile, match="the other profile has the signals"):
        summarise(subject(), without, truth(made), frame_of(profile()))
    with pytest.raises(CannotProfile, match="other classes"):
        summarise(subject(), made, truth(made), frame_of(profile(classes=4)))


def test_parts_with_other_bins_do_not_add_up() -> None:
    with pytest.raises(CannotMerge) as refused:
        merge_profiles(profile(seed=1), profile(seed=2))
    assert "the edges of confidence differ: build one part with --like" in str(refused.value)
    assert "the temperatures differ" in str(refused.value)


def test_profiles_of_other_models_recipes_classes_or_signals_do_not_add_up() -> None:
    one = profile()
    fewer = {name: one.signals[name] for name in one.signals if name != "energy"}
    labels = tuple(replace(each, label="x") for each in one.classes)
    others = {
        "they are of different models": replace(one, model_digest="c"),
        "they are of different recipes": replace(one, recipe_digest="c"),
        "they have other classes": replace(one, classes=labels),
        "they have other signals": replace(one, signals=fewer),
    }
    for said, other in others.items():
        with pytest.raises(CannotMerge, match=f"^{said}$"):
            merge_profiles(one, other)


def test_parts_made_with_other_versions_of_libraries_do_not_add_up() -> None:
    older, newer = (replace(profile(), libraries={"pillow": each}) for each in ("12", "13"))

    with pytest.raises(CannotMerge, match=r"^they were made with other versions of libraries$"):
        merge_profiles(older, newer)
    assert merge_profiles(newer, newer).libraries == {"pillow": "13"}


def test_a_part_that_does_not_name_its_libraries_adds_up_to_one_that_does_not() -> None:
    newer = replace(profile(), libraries={"pillow": "13"})

    assert merge_profiles(newer, profile()).libraries == {}


def test_profiles_of_other_policies_of_augmentation_do_not_add_up() -> None:
    flip = augmented_profile()
    assert merge_profiles(flip, flip).tta == TTA
    others = {
        'their TTA policies are "flip" and none, expected the same': profile(),
        'their TTA policies are "flip" and "d4", expected the same': augmented_profile(
            tta=replace(TTA, policy="d4")
        ),
        'their TTA policies "flip" have other views, aggregation, early exit or weights': (
            augmented_profile(tta=replace(TTA, early_exit=0.9))
        ),
    }
    for said, other in others.items():
        with pytest.raises(CannotMerge, match=f"^{said}$"):
            merge_profiles(flip, other)


def test_the_threshold_of_the_whole_is_the_edge_nearest_to_its_accuracy() -> None:
    made = signals(800)
    classes = truth(made)
    first = summarise(subject(), part(made, slice(400)), classes[:400])
    second = summarise(subject(), part(made, slice(400, 800)), classes[400:], frame_of(first))
    whole = merge_profiles(first, second)
    above = sum(whole.atc.counts[whole.atc.edges.index(whole.atc.threshold) + 1 :])
    assert above / 800 == pytest.approx(whole.accuracy_ratio, abs=0.01)
