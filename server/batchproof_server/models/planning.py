"""From what lies in the repository and what is loaded to what is to be done. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from batchproof_server.models.discovery import Place
from batchproof_server.models.policies import RepositorySettings, VersionPolicy
from batchproof_server.models.version_states import AT_WORK, IN_MEMORY, VersionState
from batchproof_server.models.weighted_versions import Target, versions_in

_LOADABLE: Final = (None, VersionState.DISCOVERED, VersionState.UNLOADED)
# What a wanted version may still become READY from.
_PENDING: Final = (*_LOADABLE, VersionState.LOADING, VersionState.DRAINING)


@dataclass(frozen=True, slots=True)
class Aim:
    """What is wanted of one model.

    Attributes:
        policy: of the model.
        found: the versions that lie in the repository.
        whole: those of them that may be loaded; the others are still being copied.
        labelled: the versions that a label stands for, which stay loaded.
        said: what an operator said of a version: True loads it, False does not.
        retry: the versions that may be tried again although they failed.
        shadow: the version that answers nobody; it is loaded beside those that the policy wants.
    """

    policy: VersionPolicy
    found: frozenset[int] = frozenset()
    whole: frozenset[int] = frozenset()
    labelled: frozenset[int] = frozenset()
    said: Mapping[int, bool] = field(default_factory=dict)
    retry: frozenset[int] = frozenset()
    shadow: int | None = None

    def refused(self, version: int) -> bool:
        """Whether an operator does not want it."""
        return self.said.get(version) is False


@dataclass(frozen=True, slots=True)
class Steps:
    """What is to be done about one model, each in ascending order.

    Attributes:
        load: versions.
        unload: versions; of those that failed, only what is known of them goes.
        forget: versions that were unloaded and lie in the repository no more.
    """

    load: tuple[int, ...] = ()
    unload: tuple[int, ...] = ()
    forget: tuple[int, ...] = ()


# Contract
#
# What is not wanted any more goes when something wanted answers and nothing wanted is yet to come:
# a version is loaded beside the one that it replaces, and one that fails replaces none. Two things
# need no replacement: a version that an operator does not want, and a model that is gone.
def plan(aim: Aim, states: Mapping[int, VersionState]) -> Steps:
    """What is to be done about a model.

    Args:
        aim: what is wanted.
        states: of the versions that are known.
    """
    wanted = _wanted(aim, states)
    load = {each for each in wanted & aim.whole if _loads(each, aim, states)}
    going = _unwanted(aim, wanted, states) | _stale(aim, states)
    forget = {
        version
        for version, state in states.items()
        if state is VersionState.UNLOADED and version not in aim.found
    }
    return Steps(*(tuple(sorted(each)) for each in (load, going, forget)))


def _wanted(
    aim: Aim, states: Mapping[int, VersionState], hoped: int | None = None
) -> frozenset[int]:
    """What is to answer, if the version that is hoped for had not failed."""
    loadable = {
        version
        for version in aim.found
        if (version in aim.whole or states.get(version) in AT_WORK) and not aim.refused(version)
    }
    failed = {
        version
        for version, state in states.items()
        if state is VersionState.FAILED and version not in aim.retry and version != hoped
    }
    said = {version for version, wanted in aim.said.items() if wanted}
    beside = aim.labelled | said | {aim.shadow}
    return aim.policy.choose(loadable - {aim.shadow}, failed) | (loadable & beside)


def _loads(version: int, aim: Aim, states: Mapping[int, VersionState]) -> bool:
    state = states.get(version)
    return state in _LOADABLE or (state is VersionState.FAILED and version in aim.retry)


def _unwanted(
    aim: Aim, wanted: frozenset[int], states: Mapping[int, VersionState]
) -> frozenset[int]:
    loaded = {version for version, state in states.items() if state in IN_MEMORY}
    now = [states.get(version) for version in wanted - {aim.shadow}]
    is_replaced = VersionState.READY in now and not any(state in _PENDING for state in now)
    is_gone = not aim.found or aim.policy.specific == ()
    return frozenset(
        version for version in loaded - wanted if is_replaced or is_gone or aim.refused(version)
    )


def _stale(aim: Aim, states: Mapping[int, VersionState]) -> frozenset[int]:
    """Versions that failed or were only discovered, and that nobody waits for any more."""
    idle = {
        version
        for version, state in states.items()
        if state in (VersionState.FAILED, VersionState.DISCOVERED)
    }
    # Unloaded, it must not be wanted at once: it would be loaded again and again.
    return frozenset(version for version in idle if version not in _wanted(aim, states, version))


def first_places(
    places: tuple[Place, ...],
    settings: RepositorySettings,
    labels: Mapping[str, Mapping[str, Target]],
    shadows: Mapping[str, int],
) -> tuple[Place, ...]:
    """The versions that are loaded at the start, of those that were found."""
    versions: defaultdict[str, set[int]] = defaultdict(set)
    for place in places:
        versions[place.name].add(place.version)
    wanted = {
        (name, version)
        for name, found in versions.items()
        for version in plan(
            Aim(
                settings.policy_of(name),
                frozenset(found),
                frozenset(found),
                versions_in(labels.get(name, {}).values()),
                shadow=shadows.get(name),
            ),
            {},
        ).load
    }
    return tuple(place for place in places if (place.name, place.version) in wanted)
