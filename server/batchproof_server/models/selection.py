"""Which version answers a caller, and what one is told that gets no answer. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, NoReturn, Protocol, TypeAlias

from batchproof_server.base.errors import (
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
    cut,
)
from batchproof_server.base.unguarded import unguarded
from batchproof_server.models.served import ServedModel
from batchproof_server.models.version_states import VersionState, VersionStatus
from batchproof_server.models.weighted_versions import (
    Target,
    WeightedVersions,
    versions_in,
    weights_of,
)

Statuses: TypeAlias = Mapping[str, Mapping[int, VersionStatus]]
Labels: TypeAlias = Mapping[str, Mapping[str, Target]]


@unguarded()
class ModelSelector:
    """Which model answers: a name with a version, or a label, or neither (the newest).

    Attributes:
        key: of the caller, which decides where several versions share a label.
    """

    name: str
    version: int | None = None
    label: str | None = None
    key: str = ""


class KnowsShadows(Protocol):
    """Knows which versions are shadows."""

    def has(self, name: str, version: int) -> bool:
        """Whether a version is its model's shadow."""
        ...


def selected(
    selector: ModelSelector, statuses: Statuses, labels: Labels, shadows: KnowsShadows | None = None
) -> VersionStatus:
    """The version that a selector stands for, in whatever state.

    Without version and label: the newest that is ready; when none is, the newest that is stuck, or
    else goes away, or else is yet to be loaded, or else failed, or else was unloaded. Of a label
    that several versions share, the one of the ready ones that the key meets; when none is ready,
    that of those with a weight which is the nearest to it, as without a label.

    Args:
        selector: what the caller says.
        statuses: model -> version -> status; of each model one at least.
        labels: model -> label -> what it stands for.
        shadows: versions that are named only by their number; None without any.

    Raises:
        InvalidInput: no name was given and there are several models.
        ModelNotFound: there is no such model, version or label.
    """
    versions = _named(selector.name, statuses)
    name = next(iter(versions.values())).name
    if selector.label is not None:
        target = _labelled(name, selector.label, labels)
        return _labelled_status(name, selector.label, selector.key, target, versions)
    if selector.version is not None:
        return _numbered(name, versions, selector.version)
    others = [
        each for each in versions.values() if not (shadows and shadows.has(name, each.version))
    ]
    return _most_hopeful(others or versions.values())


def meant(selector: ModelSelector, answers: ServedModel, labels: Labels) -> int:
    """The version that a selector would stand for if all versions were ready.

    Args:
        selector: what the caller says.
        answers: the version that it stands for as things are.
        labels: model -> label -> what it stands for.
    """
    label, name = selector.label, answers.name
    target = None if label is None else _labelled(name, label, labels)
    if label is None or not isinstance(target, WeightedVersions):
        return answers.version
    return target.choose(name, label, selector.key, weights_of(target))


def _labelled_status(
    name: str, label: str, key: str, target: Target, versions: Mapping[int, VersionStatus]
) -> VersionStatus:
    if not isinstance(target, WeightedVersions):
        return versions[target]
    members = [versions[each] for each, weight in target.weights if weight]
    ready = {each.version for each in members if each.state is VersionState.READY}
    return versions[target.choose(name, label, key, ready)] if ready else _most_hopeful(members)


def _most_hopeful(statuses: Iterable[VersionStatus]) -> VersionStatus:
    return max(statuses, key=lambda status: (_HOPE[status.state], status.version))


# What a request is told of that may be answered by several versions, the highest first. One that
# failed must not hide that another server may answer.
_HOPE: Final = {
    VersionState.READY: 5,
    VersionState.STUCK: 4,
    VersionState.DRAINING: 3,
    VersionState.LOADING: 2,
    VersionState.DISCOVERED: 2,
    VersionState.FAILED: 1,
    VersionState.UNLOADED: 0,
}


def _named(name: str, statuses: Statuses) -> Mapping[int, VersionStatus]:
    if not name:
        if len(statuses) == 1:
            return next(iter(statuses.values()))
        raise InvalidInput(f"the model's name is empty, expected one of {_names(statuses)}")
    if name not in statuses:
        raise ModelNotFound(f'there is no model "{cut(name)}"; served: {_names(statuses)}')
    return statuses[name]


def _names(statuses: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(statuses))


def _labelled(name: str, label: str, labels: Labels) -> Target:
    known = labels.get(name, {})
    if label not in known:
        expected = ", ".join(sorted(known)) or "none"
        raise ModelNotFound(
            f'model "{name}" has no version label "{cut(label)}"; its labels: {expected}'
        )
    return known[label]


def _numbered(name: str, versions: Mapping[int, VersionStatus], version: int) -> VersionStatus:
    if version not in versions:
        known = ", ".join(str(number) for number in sorted(versions))
        raise ModelNotFound(f'model "{name}" has no version {version}; its versions: {known}')
    return versions[version]


def answering(status: VersionStatus, shadows: KnowsShadows) -> ServedModel:
    """The model of a version that is ready, and no shadow.

    Raises:
        ModelNotReady: it is yet to be loaded, or stuck.
        ModelRefused: it failed to load.
        Draining: it is going away.
        ModelNotFound: it was unloaded, or is a shadow.
    """
    if shadows.has(status.name, status.version):
        raise ModelNotFound(
            f'version {status.version} of model "{status.name}" is a shadow, which answers nobody; '
            "ask for another version"
        )
    if status.state is VersionState.READY and status.served is not None:
        return status.served
    return _refuse(status)


def _refuse(status: VersionStatus) -> NoReturn:
    model = f'model "{status.name}" version {status.version}'
    match status.state:
        case VersionState.STUCK:
            reason = "; ".join(status.findings)
            raise ModelNotReady(f"{model} cannot answer: {reason}; try again soon or elsewhere")
        case VersionState.DRAINING:
            raise Draining(f"{model} is going away; try another server")
        case VersionState.UNLOADED:
            raise ModelNotFound(f"{model} was unloaded")
        case VersionState.FAILED:
            findings = "; ".join(status.findings)
            raise ModelRefused(f"{model} failed: {findings}", status.findings)
        case _:
            raise ModelNotReady(f"{model} is being loaded; try again soon or elsewhere")


def ready_of(statuses: Iterable[VersionStatus], shadows: KnowsShadows) -> tuple[ServedModel, ...]:
    """The models of the versions that answer, in their order."""
    ready = (each.served for each in statuses if each.state is VersionState.READY)
    return tuple(
        each for each in ready if each is not None and not shadows.has(each.name, each.version)
    )


def missing_label(labels: Labels, statuses: Statuses) -> tuple[str, str, int] | None:
    """Model, label and version of the first label for what does not exist; None without one."""
    for name, targets in labels.items():
        for label, target in targets.items():
            for version in sorted(versions_in((target,)).difference(statuses.get(name, {}))):
                return name, label, version
    return None
