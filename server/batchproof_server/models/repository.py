"""Which versions there are, in which state, and which one answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from batchproof_server.base.errors import (
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
    cut,
)
from batchproof_server.models.discovery import Place
from batchproof_server.models.served import ServedModel


class ModelState(StrEnum):
    """The life of a version: loading, then ready or failed; ready, then draining."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    DRAINING = "draining"


_NEXT = {
    ModelState.LOADING: (ModelState.READY, ModelState.FAILED),
    ModelState.READY: (ModelState.DRAINING,),
    ModelState.FAILED: (),
    ModelState.DRAINING: (),
}


@dataclass(frozen=True, slots=True)
class ModelSelector:
    """Which model answers: a name with a version, or a label, or neither (the newest)."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """A version as it is now. ``served`` is set once it has been loaded."""

    name: str
    version: int
    state: ModelState
    findings: tuple[str, ...] = ()
    served: ServedModel | None = None


# Contract of the repository
#
# Holds every version that was discovered, whatever became of it, so that a caller is told why a
# version does not answer. Lives on the loop thread. A version's state only moves forward.
class ModelRepository:
    """The versions of all models.

    Args:
        places: what was discovered; each starts as loading.
        version_labels: model -> label -> version.

    Raises:
        ValueError: a label names a model or a version that was not discovered.
    """

    def __init__(
        self, places: tuple[Place, ...], version_labels: Mapping[str, Mapping[str, int]]
    ) -> None:
        self._versions: dict[str, dict[int, VersionStatus]] = {}
        for place in places:
            status = VersionStatus(place.name, place.version, ModelState.LOADING)
            self._versions.setdefault(place.name, {})[place.version] = status
        self._labels = {name: dict(labels) for name, labels in version_labels.items()}
        self._ready: tuple[ServedModel, ...] = ()
        self._check_labels()

    def _check_labels(self) -> None:
        for name, labels in self._labels.items():
            for label, version in labels.items():
                if version not in self._versions.get(name, {}):
                    raise ValueError(
                        f"version_labels.{name}.{label}: there is no version {version} "
                        f'of a model "{name}"'
                    )

    def became_ready(self, served: ServedModel) -> None:
        """The version was loaded and warmed up."""
        self._change(served.name, served.version, ModelState.READY, served=served)

    def became_failed(self, name: str, version: int, findings: tuple[str, ...]) -> None:
        """The version could not be loaded."""
        self._change(name, version, ModelState.FAILED, findings=findings)

    def start_draining(self) -> None:
        """Every ready version refuses from now on."""
        for model in self.ready():
            self._change(model.name, model.version, ModelState.DRAINING)

    def _change(self, name: str, version: int, state: ModelState, **changes: Any) -> None:
        old = self._versions[name][version]
        if state not in _NEXT[old.state]:
            raise ValueError(f"a version that is {old.state} cannot become {state}")
        self._versions[name][version] = replace(old, state=state, **changes)
        self._ready = tuple(
            status.served
            for status in self.statuses()
            if status.state is ModelState.READY and status.served is not None
        )

    def statuses(self) -> tuple[VersionStatus, ...]:
        """All versions by name, oldest first."""
        return tuple(
            self._versions[name][version]
            for name in sorted(self._versions)
            for version in sorted(self._versions[name])
        )

    def names(self) -> tuple[str, ...]:
        """The names of all models, sorted."""
        return tuple(sorted(self._versions))

    def ready(self) -> tuple[ServedModel, ...]:
        """The versions that answer."""
        return self._ready

    def loaded(self) -> tuple[ServedModel, ...]:
        """The versions that hold a model in memory."""
        statuses = self.statuses()
        return tuple(status.served for status in statuses if status.served is not None)

    def labels_of(self, name: str, version: int) -> tuple[str, ...]:
        """The labels that stand for a version, sorted."""
        labels = self._labels.get(name, {})
        return tuple(sorted(label for label, number in labels.items() if number == version))

    def select(self, selector: ModelSelector) -> ServedModel:
        """The version that answers.

        Raises:
            InvalidInput: no name was given and there are several models.
            ModelNotFound: there is no such model, version or label.
            ModelNotReady: it is still loading.
            ModelRefused: it failed to load.
            Draining: it is going away.
        """
        return _answering(self.find(selector))

    def find(self, selector: ModelSelector) -> VersionStatus:
        """The version that a selector stands for, in whatever state.

        Without version and label: the newest that is ready; when none is, the newest that goes
        away, or else is being loaded, or else failed.

        Raises:
            InvalidInput: no name was given and there are several models.
            ModelNotFound: there is no such model, version or label.
        """
        versions = self._named(selector.name)
        name = next(iter(versions.values())).name
        if selector.label is not None:
            return versions[self._labelled(name, selector.label)]
        if selector.version is not None:
            return _numbered(name, versions, selector.version)
        return max(
            versions.values(), key=lambda status: (_PREFERENCE.index(status.state), status.version)
        )

    def _named(self, name: str) -> dict[int, VersionStatus]:
        if not name:
            if len(self._versions) == 1:
                return next(iter(self._versions.values()))
            raise InvalidInput(f"the model's name is empty, expected one of {self._served()}")
        if name not in self._versions:
            raise ModelNotFound(f'there is no model "{cut(name)}"; served: {self._served()}')
        return self._versions[name]

    def _labelled(self, name: str, label: str) -> int:
        labels = self._labels.get(name, {})
        if label not in labels:
            known = ", ".join(sorted(labels)) or "none"
            raise ModelNotFound(
                f'model "{name}" has no version label "{cut(label)}"; its labels: {known}'
            )
        return labels[label]

    def _served(self) -> str:
        return ", ".join(f'"{name}"' for name in self.names())


# Which state a request without version or label is told of, the last first. One that failed must
# not hide that another server may answer.
_PREFERENCE = (ModelState.FAILED, ModelState.LOADING, ModelState.DRAINING, ModelState.READY)


def _numbered(name: str, versions: dict[int, VersionStatus], version: int) -> VersionStatus:
    if version not in versions:
        known = ", ".join(str(number) for number in sorted(versions))
        raise ModelNotFound(f'model "{name}" has no version {version}; its versions: {known}')
    return versions[version]


def _answering(status: VersionStatus) -> ServedModel:
    model = f'model "{status.name}" version {status.version}'
    if status.state is ModelState.LOADING:
        raise ModelNotReady(f"{model} is being loaded; try again soon or elsewhere")
    if status.state is ModelState.DRAINING:
        raise Draining(f"{model} is going away; try another server")
    if status.served is None or status.state is ModelState.FAILED:
        findings = "; ".join(status.findings)
        raise ModelRefused(f"{model} failed to load: {findings}", status.findings)
    return status.served
