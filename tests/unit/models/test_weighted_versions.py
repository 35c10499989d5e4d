"""What a label may stand for, and what is refused."""

import pytest

from batchproof_server.models.weighted_versions import (
    WeightedVersions,
    read_target,
    replaced,
    without,
)

SPLIT = WeightedVersions(((7, 95), (8, 5)))


@pytest.mark.parametrize(
    ("value", "target"),
    [
        (3, 3),
        ("3", 3),
        ({"7": 95, "8": 5}, SPLIT),
        ({8: 5, 7: 95}, SPLIT),
        ({"7": 1}, 7),
        ({"7": 1, "8": 0}, WeightedVersions(((7, 1), (8, 0)))),
    ],
)
def test_a_label_is_a_version_or_weights(value: object, target: object) -> None:
    assert read_target(value) == target


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "0 versions, expected 1 to 16"),
        (dict.fromkeys(range(1, 18), 1), "17 versions, expected 1 to 16"),
        ({"7": -1, "8": 5}, "the weight of version 7 is -1, expected 0 to 1000000"),
        ({"7": 10**7, "8": 5}, "the weight of version 7 is 10000000, expected"),
        ({"7": 0, "8": 0}, "all weights are 0, expected one above it"),
        ({"7": 0}, "all weights are 0"),
        ({"7": 0.95}, 'the weight of version 7 is "0.95", expected a whole number'),
        ({"7": True}, 'the weight of version 7 is "True"'),
        ({"new": 5}, '"new" is no version, expected a number, or weights'),
        ({"1" * 50: 5}, "is no version"),
        ({"x" * 1_000_000: 5}, "is no version"),
        ({"9" * 19: 5}, "a version is 9999999999999999999"),
        (0, "a version is 0, expected 1 or more"),
        (-3, "a version is -3"),
        (True, '"True" is no version'),
        (3.5, '"3.5" is no version'),
        ([7, 8], "is no version"),
    ],
)
def test_what_is_neither_is_refused_in_a_short_sentence(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        read_target(value)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_version_that_goes_leaves_its_label_to_the_others() -> None:
    assert without(SPLIT, 8) == 7
    assert without(7, 7) is None
    assert without(WeightedVersions(((7, 0), (8, 5))), 8) is None
    assert without(SPLIT, 9) == SPLIT


def test_a_roll_back_gives_the_weight_to_the_version_before() -> None:
    assert replaced(SPLIT, 8, 7) == 7
    assert replaced(SPLIT, 8, 6) == WeightedVersions(((6, 5), (7, 95)))
    assert replaced(3, 3, 2) == 2
    assert replaced(SPLIT, 9, 2) == SPLIT
