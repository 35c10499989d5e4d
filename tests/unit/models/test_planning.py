"""Which versions are loaded and unloaded next, decided from plain values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.models.planning import Aim, Steps, plan
from batchproof_server.models.policies import NOTHING, RepositorySettings, VersionPolicy
from batchproof_server.models.version_states import VersionState as S

ALL, LATEST, LATEST_2 = VersionPolicy(), VersionPolicy(latest=1), VersionPolicy(latest=2)
ONLY_3 = VersionPolicy(specific=(3,))


def lying(policy: VersionPolicy, *found: int, **other: object) -> Aim:
    return Aim(policy, frozenset(found), frozenset(found), **other)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize(
    ("aim", "states", "expected"),
    [
        pytest.param(lying(ALL, 1, 2), {}, Steps(load=(1, 2)), id="all at the start"),
        pytest.param(lying(LATEST, 1, 2), {}, Steps(load=(2,)), id="the newest at the start"),
        pytest.param(lying(LATEST_2, 1, 2, 3), {}, Steps(load=(2, 3)), id="the newest two"),
        pytest.param(
            lying(LATEST, 1, 2, shadow=2), {}, Steps(load=(1, 2)), id="the newest beside its shadow"
        ),
        pytest.param(
            lying(LATEST, 1, 2, 3, shadow=3),
            {1: S.READY, 3: S.READY},
            Steps(load=(2,)),
            id="a shadow replaces nothing",
        ),
        pytest.param(
            lying(ONLY_3, 2, 3, shadow=2),
            {3: S.READY},
            Steps(load=(2,)),
            id="a shadow beside others",
        ),
        pytest.param(lying(ONLY_3, 1, 3, 5), {}, Steps(load=(3,)), id="a specific one"),
        pytest.param(
            lying(LATEST, 1, 2),
            {1: S.READY},
            Steps(load=(2,)),
            id="beside the old one, which stays",
        ),
        pytest.param(
            lying(LATEST, 1, 2),
            {1: S.READY, 2: S.LOADING},
            Steps(),
            id="the old one while it loads",
        ),
        pytest.param(
            lying(LATEST, 1, 2), {1: S.READY, 2: S.READY}, Steps(unload=(1,)), id="then it goes"
        ),
        pytest.param(
            lying(LATEST, 1, 2), {1: S.READY, 2: S.FAILED}, Steps(), id="a failure replaces nothing"
        ),
        pytest.param(
            lying(LATEST, 1, 2), {2: S.FAILED}, Steps(load=(1,)), id="an older one in its place"
        ),
        pytest.param(
            lying(LATEST, 1, 2), {1: S.READY, 2: S.STUCK}, Steps(), id="what hangs replaces nothing"
        ),
        pytest.param(
            lying(LATEST, 1, 2, retry=frozenset({2})),
            {1: S.READY, 2: S.FAILED},
            Steps(load=(2,)),
            id="a failure is tried again",
        ),
        pytest.param(
            lying(LATEST, 1, 2, 3),
            {1: S.UNLOADED, 2: S.FAILED, 3: S.READY},
            Steps(unload=(2,)),
            id="a newer one ends the story of one that failed",
        ),
        pytest.param(
            lying(LATEST, 1, 2, labelled=frozenset({1})),
            {1: S.READY, 2: S.READY},
            Steps(),
            id="a label keeps a version",
        ),
        pytest.param(
            lying(LATEST, 1, 2, said={1: True}), {2: S.READY}, Steps(load=(1,)), id="wished for"
        ),
        pytest.param(
            lying(LATEST, 1, 2, said={2: False}),
            {2: S.READY},
            Steps(load=(1,), unload=(2,)),
            id="not wished for",
        ),
        pytest.param(lying(ALL, 2), {1: S.READY, 2: S.READY}, Steps(unload=(1,)), id="vanished"),
        pytest.param(
            lying(ALL, 2),
            {1: S.READY, 2: S.FAILED},
            Steps(),
            id="vanished, and nothing else answers",
        ),
        pytest.param(lying(ALL), {1: S.READY}, Steps(unload=(1,)), id="the whole model is gone"),
        pytest.param(lying(ALL), {1: S.UNLOADED}, Steps(forget=(1,)), id="and then forgotten"),
        pytest.param(lying(ALL, 1), {1: S.UNLOADED}, Steps(load=(1,)), id="what came back"),
        pytest.param(lying(NOTHING, 1), {1: S.READY}, Steps(unload=(1,)), id="a stopped model"),
        pytest.param(
            lying(ONLY_3, 1), {1: S.READY}, Steps(), id="a specific version that is not there"
        ),
        pytest.param(
            Aim(LATEST, frozenset({1, 2}), frozenset({1})),
            {1: S.READY},
            Steps(),
            id="half a copy is not loaded and not waited for",
        ),
    ],
)
def test_the_next_steps(aim: Aim, states: dict[int, S], expected: Steps) -> None:
    assert plan(aim, states) == expected


NUMBERS = st.integers(1, 4)
SETS = st.frozensets(NUMBERS)
POLICIES = st.one_of(
    st.just(ALL),
    st.integers(1, 3).map(lambda latest: VersionPolicy(latest=latest)),
    st.lists(NUMBERS, min_size=1).map(lambda each: VersionPolicy(specific=tuple(each))),
)


@given(POLICIES, SETS, SETS, SETS, st.dictionaries(NUMBERS, st.sampled_from(S)))
def test_what_answers_goes_only_when_something_else_that_is_wanted_answers(
    policy: VersionPolicy,
    found: frozenset[int],
    copied: frozenset[int],
    labelled: frozenset[int],
    states: dict[int, S],
) -> None:
    aim = Aim(policy, found | {1}, (found | {1}) - copied, labelled)
    steps = plan(aim, states)
    ready = {version for version, state in states.items() if state is S.READY}
    if ready:
        assert ready - set(steps.unload)
    assert not set(steps.load) & set(steps.unload)
    assert set(steps.load) <= aim.whole
    assert not any(states.get(each) in (S.READY, S.LOADING, S.DRAINING) for each in steps.load)


AIMS = st.builds(
    lambda policy, found, copied, labelled, said, shadow: Aim(
        policy, found, found - copied, labelled, said, shadow=shadow
    ),
    POLICIES,
    SETS,
    SETS,
    SETS,
    st.dictionaries(NUMBERS, st.booleans()),
    st.none() | NUMBERS,
)


@given(AIMS, SETS, st.data())
def test_carried_out_again_and_again_the_steps_come_to_an_end(
    aim: Aim, bad: frozenset[int], data: st.DataObject
) -> None:
    resting = st.sampled_from((S.DISCOVERED, S.READY, S.STUCK, S.UNLOADED, S.FAILED))
    states = data.draw(st.dictionaries(NUMBERS, resting))
    for _ in range(12):
        steps = plan(aim, states)
        if steps == Steps():
            break
        states |= dict.fromkeys(steps.unload, S.UNLOADED)
        # One version is loaded at a time.
        states |= {each: S.FAILED if each in bad else S.READY for each in steps.load[:1]}
        for version in steps.forget:
            states.pop(version, None)
    assert plan(aim, states) == Steps()


def test_a_policy_names_its_faults() -> None:
    with pytest.raises(ValueError, match="latest is 0, expected 1 or more"):
        VersionPolicy(latest=0)
    with pytest.raises(ValueError, match="exclude each other"):
        VersionPolicy(latest=1, specific=(1,))
    with pytest.raises(ValueError, match="poll_s is -1"):
        RepositorySettings(poll_s=-1)


def test_a_model_may_have_a_policy_of_its_own() -> None:
    settings = RepositorySettings(policy=LATEST, policies={"m": ONLY_3})
    assert (settings.policy_of("m"), settings.policy_of("n")) == (ONLY_3, LATEST)
