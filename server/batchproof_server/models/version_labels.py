"""The version labels of all models."""

from collections.abc import Mapping
from dataclasses import dataclass

from batchproof_server.base.errors import ModelNotFound
from batchproof_server.base.events import Event
from batchproof_server.models.selection import (
    Labels,
    ModelSelector,
    Statuses,
    missing_label,
    selected,
)
from batchproof_server.models.weighted_versions import Target, versions_in, weights_of, without


@dataclass(frozen=True, slots=True)
class ShareDiverted(Event):
    """One request that a label's weights gave to a version which does not answer.

    Attributes:
        version: it was meant for.
        answered_by: another version of the label.
    """

    model: str
    version: int
    answered_by: int


# Contract: a label stands for versions that are known, whatever their states. Lives on the loop.
class VersionLabels:
    """What the labels of each model stand for.

    Args:
        labels: model -> label -> what it stands for.
        statuses: of all versions, by model and version; read at any time.

    Raises:
        ValueError: a label names a model or a version that is not known.
    """

    def __init__(self, labels: Labels, statuses: Statuses) -> None:
        self._statuses = statuses
        if missing := missing_label(labels, statuses):
            name, label, version = missing
            raise ValueError(
                f'version_labels.{name}.{label}: there is no version {version} of a model "{name}"'
            )
        self._labels = {name: dict(of_model) for name, of_model in labels.items()}

    @property
    def by_model(self) -> Labels:
        """The labels of all models, and what they stand for."""
        return self._labels

    def of(self, name: str) -> Mapping[str, Target]:
        """The labels of a model, and what they stand for."""
        return self._labels.get(name, {})

    def versions(self, name: str) -> frozenset[int]:
        """The versions of a model that a label stands for."""
        return versions_in(self.of(name).values())

    def on(self, name: str, version: int) -> tuple[str, ...]:
        """The labels that stand for a version, perhaps beside others, sorted."""
        labels = self.of(name).items()
        return tuple(sorted(label for label, each in labels if version in weights_of(each)))

    def shares(self, name: str, version: int) -> Mapping[str, float]:
        """The part of a label's callers, 0 to 1, that its weights give a version, by label."""
        by_label = {label: weights_of(self.of(name)[label]) for label in self.on(name, version)}
        return {label: each[version] / sum(each.values()) for label, each in by_label.items()}

    def move(self, name: str, labels: Mapping[str, Target]) -> None:
        """Replaces all labels of a model at once.

        Raises:
            ModelNotFound: there is no such model or version; nothing has changed then.
        """
        selected(ModelSelector(name), self._statuses, {})
        if missing := missing_label({name: labels}, self._statuses):
            what = f'the label "{missing[1]}" is for version {missing[2]} of model "{name}"'
            raise ModelNotFound(f"{what}, which does not exist")
        self._labels[name] = dict(labels)

    def drop(self, name: str, version: int) -> None:
        """A version is no more: no label stands for it, alone or beside others."""
        left = {label: without(each, version) for label, each in self.of(name).items()}
        self._labels[name] = {label: each for label, each in left.items() if each is not None}
        if name not in self._statuses:
            del self._labels[name]
