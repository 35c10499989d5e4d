"""Which label values may become series, so that their number has a bound. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

Labels: TypeAlias = tuple[str | int, ...]
ModelVersion: TypeAlias = tuple[str, int]

_VALUES_PER_LABEL = 64


# Contract: models and versions must have been announced; every other label takes its first 64
# values, then ``other``. A value is free again once every version that brought it is forgotten.
class LabelAdmission:
    """Decides which label values may become series."""

    def __init__(self) -> None:
        self.models: set[ModelVersion] = set()
        self._names: Counter[str] = Counter()
        self._values: dict[str, dict[str | int, set[ModelVersion]]] = {}

    def announce(self, version: ModelVersion) -> None:
        """Lets a model version become a label."""
        if version not in self.models:
            self.models.add(version)
            self._names[version[0]] += 1

    def forget(self, version: ModelVersion) -> tuple[ModelVersion, ...]:
        """Lets a model version be a label no longer.

        Returns:
            The models and versions whose series go with it: with the last version of a model, also
            what was counted for its unknown versions.
        """
        if version not in self.models:
            return ()
        self.models.remove(version)
        self._names[version[0]] -= 1
        gone = (version,) if self._names[version[0]] else (version, (version[0], 0))
        self._names += Counter()  # drops what is zero
        for name, known in list(self._values.items()):
            left = {value: owners.difference(gone) for value, owners in known.items()}
            self._values[name] = {value: owners for value, owners in left.items() if owners}
        return gone

    def admit(self, names: Sequence[str], labels: Labels) -> Labels:
        """Returns the labels under which an observation is counted."""
        if names[0] != "model":
            return tuple(
                self._value(*each, _NO_VERSION) for each in zip(names, labels, strict=True)
            )
        owner = self._model(str(labels[0]), int(labels[1]))
        others = zip(names[2:], labels[2:], strict=True)
        return (*owner, *(self._value(*each, owner) for each in others))

    def _model(self, model: str, version: int) -> ModelVersion:
        if (model, version) in self.models:
            return model, version
        return (model, 0) if model in self._names else _NO_VERSION

    def _value(self, name: str, value: str | int, owner: ModelVersion) -> str | int:
        known = self._values.setdefault(name, {})
        if value not in known:
            if len(known) == _VALUES_PER_LABEL:
                return "other"
            known[value] = set()
        known[value].add(owner)
        return value


_NO_VERSION: ModelVersion = ("", 0)
