"""Labels of the configuration, which move when their versions answer."""

from typing import Final

from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.models.selection import Labels
from batchproof_server.models.versions import Versions
from batchproof_server.models.weighted_versions import Target, versions_in, weights_of

_MOST_LABEL_CHARACTERS: Final = 64
MOST_LABELS: Final = 64
"""Of one model."""


# Contract: a label that stood in the configuration before moves only where the configuration
# changed, so that what an operator has moved stays. It stands for what it stood for until all the
# versions that it is to stand for answer.
class ComingLabels:
    """Labels that are yet to move.

    Args:
        versions: whose labels they are.
    """

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._coming: dict[str, dict[str, Target]] = {}

    def take(self, before: Labels, now: Labels) -> None:
        """The configuration changed: what left it goes at once, what is new is to come."""
        for model in {*before, *now}:
            old, new = before.get(model, {}), now.get(model, {})
            coming = {**self._coming.get(model, {}), **dict(new.items() - old.items())}
            gone = old.keys() - new.keys()
            self._coming[model] = {k: each for k, each in coming.items() if k not in gone}
            kept = self._versions.labels.of(model)
            if gone.intersection(kept):
                self._versions.labels.move(model, {k: kept[k] for k in kept.keys() - gone})

    def names(self, model: str) -> frozenset[str]:
        """The labels of a model that are yet to move."""
        return frozenset(self._coming.get(model, {}))

    def of(self, model: str) -> frozenset[int]:
        """The versions that labels of a model are to stand for."""
        return versions_in(self._coming.get(model, {}).values())

    def drop(self, model: str, labels: frozenset[str]) -> None:
        """Somebody has moved these labels meanwhile."""
        coming = self._coming.get(model, {})
        self._coming[model] = {k: each for k, each in coming.items() if k not in labels}

    def drop_version(self, model: str, version: int) -> None:
        """No label is to come to a version any more."""
        coming = self._coming.get(model, {})
        self.drop(model, frozenset(k for k, each in coming.items() if version in weights_of(each)))

    def move(self) -> None:
        """Moves those whose versions answer."""
        for model, coming in self._coming.items():
            here = {label: each for label, each in coming.items() if self._answers(model, each)}
            if here:
                self._versions.labels.move(model, {**self._versions.labels.of(model), **here})
                self.drop(model, frozenset(here))

    def _answers(self, model: str, target: Target) -> bool:
        ready = {each.version for each in self._versions.ready() if each.name == model}
        return ready.issuperset(weights_of(target))


def check_label(label: str) -> None:
    """Returns when a label is a text of a few characters.

    Raises:
        InvalidInput: it is not.
    """
    if not 1 <= len(label) <= _MOST_LABEL_CHARACTERS or not label.isprintable():
        raise InvalidInput(
            f'the label "{cut(label)}" has {len(label)} characters or some that cannot be printed, '
            f"expected 1 to {_MOST_LABEL_CHARACTERS}"
        )
