"""Who meets which version of a label that several share."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.models.weighted_versions import (
    WeightedVersions,
    replaced,
    target_of,
    weights_of,
    without,
)

KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64)
NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)


@st.composite
def splits(draw: st.DrawFn) -> WeightedVersions:
    """Two to five versions, with weights that may be 0."""
    versions = draw(st.sets(st.integers(1, 1_000), min_size=2, max_size=5))
    weights = {each: draw(st.integers(0, 100)) for each in versions}
    weights[max(versions)] = draw(st.integers(1, 100))
    target = target_of(weights)
    assert isinstance(target, WeightedVersions)
    return target


SPLITS = splits()


def meets(split: WeightedVersions, key: str, model: str = "m", label: str = "stable") -> int:
    """The version that a key meets when all may be chosen."""
    return split.choose(model, label, key, dict(split.weights))


@given(SPLITS, st.sampled_from(("user-{}", "{}", "{:032x}", "https://shop/{}?q=1")), NAMES)
def test_shares_are_those_of_the_weights_whatever_keys_look_like(
    split: WeightedVersions, form: str, label: str
) -> None:
    count = 2_000
    met = [meets(split, form.format(number), label=label) for number in range(count)]
    total = sum(weight for _, weight in split.weights)
    for version, weight in split.weights:
        share = weight / total
        # Six standard deviations of a binomial, and one for those that are hardly ever drawn.
        bound = 6 * math.sqrt(count * share * (1 - share)) + 1
        assert abs(met.count(version) - count * share) <= bound


@given(SPLITS, KEYS, NAMES, NAMES)
def test_a_key_keeps_its_version(split: WeightedVersions, key: str, model: str, label: str) -> None:
    again = target_of(dict(reversed(split.weights)))
    assert isinstance(again, WeightedVersions)
    assert meets(split, key, model, label) == meets(again, key, model, label)


@given(SPLITS, KEYS, st.integers(2, 50))
def test_only_the_ratios_of_weights_count(split: WeightedVersions, key: str, factor: int) -> None:
    more = WeightedVersions(tuple((version, factor * weight) for version, weight in split.weights))
    assert meets(split, key) == meets(more, key)


@given(SPLITS, st.data(), st.integers(1, 100), KEYS)
def test_a_weight_that_grows_moves_keys_to_its_version_only(
    split: WeightedVersions, data: st.DataObject, more: int, key: str
) -> None:
    grown = data.draw(st.sampled_from([version for version, _ in split.weights]))
    after = target_of({each: w + more * (each == grown) for each, w in split.weights})
    assert isinstance(after, WeightedVersions)
    assert meets(after, key) in (meets(split, key), grown)


@pytest.mark.parametrize(("before", "after"), [(5, 10), (10, 50), (0, 5)])
def test_a_canary_that_grows_takes_callers_from_the_old_version_and_gives_none_back(
    before: int, after: int
) -> None:
    keys = [f"user-{number}" for number in range(5_000)]
    small, large = (WeightedVersions(((7, 100 - part), (8, part))) for part in (before, after))
    moved = {(meets(small, key), meets(large, key)) for key in keys}
    assert moved == {(7, 7), (7, 8), (8, 8)} - ({(8, 8)} if before == 0 else set())


@given(SPLITS, st.data(), KEYS)
def test_a_version_that_is_not_ready_gives_its_keys_away_and_moves_no_other(
    split: WeightedVersions, data: st.DataObject, key: str
) -> None:
    weighted = [version for version, weight in split.weights if weight]
    gone = data.draw(st.sampled_from([version for version, _ in split.weights]))
    able = {version for version, _ in split.weights} - {gone}
    if able.isdisjoint(weighted):
        with pytest.raises(ValueError, match="empty"):
            split.choose("m", "stable", key, able)
        return
    chosen = split.choose("m", "stable", key, able)
    assert chosen in able.intersection(weighted)
    if (before := meets(split, key)) != gone:
        assert chosen == before
    left = without(split, gone)
    assert left is not None
    assert chosen == (meets(left, key) if isinstance(left, WeightedVersions) else left)


@given(SPLITS, st.data())
def test_a_version_takes_the_weight_of_another(
    split: WeightedVersions, data: st.DataObject
) -> None:
    old = data.draw(st.sampled_from([version for version, _ in split.weights]))
    new = data.draw(st.integers(1, 1_000).filter(lambda version: version != old))
    weights, after = dict(split.weights), weights_of(replaced(split, old, new))
    assert old not in after
    if len(after) > 1:
        assert after[new] == weights.get(new, 0) + weights[old]
        assert sum(after.values()) == sum(weights.values())
