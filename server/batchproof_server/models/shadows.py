"""Which versions answer nobody."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.events import Event, Observer
from batchproof_server.models.selection import Statuses
from batchproof_server.models.version_labels import VersionLabels


@dataclass(frozen=True, slots=True)
class ShadowChanged(Event):
    """A model has another shadow.

    Attributes:
        version: None when it has none any more.
    """

    model: str
    version: int | None


# Contract: a model has one shadow at most. It is loaded and proven as other versions are, and
# whoever asks for it is refused. No label stands for it. Lives on the loop.
class Shadows:
    """The shadow of each model that has one.

    Args:
        shadows: versions by the names of their models.
        statuses: of all versions, by model and version.
        labels: that may not stand for them.
        observer: told of each change.
        tell: called after each change.

    Raises:
        ValueError: one of them is not known, or a label stands for it.
    """

    def __init__(
        self,
        shadows: Mapping[str, int],
        statuses: Statuses,
        labels: VersionLabels,
        observer: Observer,
        tell: Callable[[], None],
    ) -> None:
        for name, version in shadows.items():
            if version not in statuses.get(name, {}):
                raise ValueError(
                    f'shadow.versions.{name}: there is no version {version} of a model "{name}"'
                )
            if found := labels.on(name, version):
                raise ValueError(
                    f"shadow.versions.{name}: version {version} answers for the label "
                    f'"{found[0]}", expected one without a label'
                )
        self._shadows = dict(shadows)
        self._labels = labels
        self._observer = observer
        self._tell = tell

    def announce(self) -> None:
        """Tells the observer of every shadow."""
        for name, version in self._shadows.items():
            self._observer.notify(ShadowChanged(name, version))

    def of(self, name: str) -> int | None:
        """The shadow of a model."""
        return self._shadows.get(name)

    def has(self, name: str, version: int) -> bool:
        """Whether a version is its model's shadow."""
        return self._shadows.get(name) == version

    def set(self, name: str, version: int | None) -> None:
        """Makes a version the shadow of its model, in the place of another; None ends it.

        Raises:
            InvalidInput: a label stands for the version.
        """
        if version is None:
            self._shadows.pop(name, None)
        elif found := self._labels.on(name, version):
            raise InvalidInput(
                f'the label "{found[0]}" stands for version {version} of model "{name}"; '
                "move or remove it first"
            )
        else:
            self._shadows[name] = version
        self._tell()
        self._observer.notify(ShadowChanged(name, version))
