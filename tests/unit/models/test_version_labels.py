"""Labels that several versions share, and versions of them that do not answer."""

import pytest

from batchproof_server.base.errors import ModelNotReady, ModelRefused
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.version_labels import ShareDiverted
from batchproof_server.models.version_states import VersionState
from batchproof_server.models.weighted_versions import WeightedVersions
from support.version_life import Life, place

SHARED = {"m": {"stable": WeightedVersions(((1, 50), (2, 50)))}}
KEYS = [f"user-{number}" for number in range(64)]


def life() -> Life:
    return Life((place(1), place(2), place(3)), SHARED)


def answered(some: Life, key: str) -> int:
    with some.versions.lease(ModelSelector("m", label="stable", key=key)) as model:
        return model.version


def diverted(some: Life) -> list[ShareDiverted]:
    return [each for each in some.recorder.events if isinstance(each, ShareDiverted)]


async def test_versions_share_the_callers_of_a_label() -> None:
    some = life()
    for version in (1, 2, 3):
        await some.bring(version, VersionState.READY)
    first = [answered(some, key) for key in KEYS]
    assert set(first) == {1, 2}
    assert [answered(some, key) for key in KEYS] == first
    assert not diverted(some)


async def test_the_share_of_a_version_that_is_not_ready_goes_to_the_others_and_is_counted() -> None:
    some = life()
    for version in (1, 2):
        await some.bring(version, VersionState.READY)
    before = {key: answered(some, key) for key in KEYS}
    some.versions.follow_trouble("m", 2, "it hangs")
    assert {answered(some, key) for key in KEYS} == {1}
    assert diverted(some) == [ShareDiverted("m", 2, 1)] * list(before.values()).count(2)
    some.versions.follow_trouble("m", 2, "")
    assert {key: answered(some, key) for key in KEYS} == before


async def test_where_no_version_is_ready_the_nearest_to_it_says_why() -> None:
    some = life()
    await some.bring(1, VersionState.FAILED)
    with pytest.raises(ModelNotReady, match="version 2 is being loaded"):
        answered(some, "a")
    await some.bring(2, VersionState.FAILED)
    with pytest.raises(ModelRefused, match="version 2 failed"):
        answered(some, "a")
    assert not diverted(some)


async def test_a_version_without_a_weight_answers_nobody_of_the_label() -> None:
    some = Life((place(1), place(2)), {"m": {"stable": WeightedVersions(((1, 1), (2, 0)))}})
    await some.bring(2, VersionState.READY)
    with pytest.raises(ModelNotReady, match="version 1 is being loaded"):
        answered(some, "a")


async def test_a_version_that_is_forgotten_leaves_the_label_to_the_others() -> None:
    some = life()
    await some.bring(1, VersionState.READY)
    await some.bring(2, VersionState.READY)
    await some.versions.unload("m", 2)
    some.versions.forget("m", 2)
    assert some.versions.labels.of("m") == {"stable": 1}
    assert some.versions.labels.shares("m", 1) == {"stable": 1.0}
    assert answered(some, "a") == 1


def test_the_part_of_each_version_is_told() -> None:
    labels = Life(
        (place(1), place(2)), {"m": {"stable": WeightedVersions(((1, 95), (2, 5)))}}
    ).versions.labels
    assert labels.shares("m", 1) == {"stable": 0.95}
    assert labels.on("m", 2) == ("stable",)
    assert labels.versions("m") == {1, 2}
