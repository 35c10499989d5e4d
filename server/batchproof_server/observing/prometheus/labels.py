"""Which label values may become series, so that their number has a bound. Pure."""

from collections.abc import Sequence
from typing import TypeAlias

Labels: TypeAlias = tuple[str | int, ...]
ModelVersion: TypeAlias = tuple[str, int]

_VALUES_PER_LABEL = 64


# Contract: models and versions must have been announced; every other label takes its first 64
# values, then ``other``.
class LabelAdmission:
    """Decides which label values may become series."""

    def __init__(self) -> None:
        self.models: set[ModelVersion] = set()
        self._names: set[str] = set()
        self._values: dict[str, set[str | int]] = {}

    def announce(self, version: ModelVersion) -> None:
        """Lets a model version become a label."""
        self.models.add(version)
        self._names.add(version[0])

    def admit(self, names: Sequence[str], labels: Labels) -> Labels:
        """Returns the labels under which an observation is counted."""
        if names[0] != "model":
            return tuple(map(self._value, names, labels))
        model, version = self._model(str(labels[0]), int(labels[1]))
        return (model, version, *map(self._value, names[2:], labels[2:]))

    def _model(self, model: str, version: int) -> ModelVersion:
        if (model, version) in self.models:
            return model, version
        return (model, 0) if model in self._names else ("", 0)

    def _value(self, name: str, value: str | int) -> str | int:
        known = self._values.setdefault(name, set())
        if value in known:
            return value
        if len(known) == _VALUES_PER_LABEL:
            return "other"
        known.add(value)
        return value
