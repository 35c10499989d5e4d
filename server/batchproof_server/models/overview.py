"""The versions of a repository as an operator sees them."""

from collections.abc import Mapping
from dataclasses import dataclass

from batchproof_server.models.keeper import Keeper
from batchproof_server.models.looking import Key, Seen
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.version_states import VersionState, VersionStatus


@dataclass(frozen=True, slots=True)
class VersionOverview:
    """A version as an operator sees it.

    Attributes:
        status: None for one that only lies in the repository.
        seen: None for one that lies there no more.
        labels: that stand for it, sorted.
        shares: of these labels, the part of the callers that the weights give it.
        is_default: whether it answers those who name neither version nor label.
        is_changed: whether its files are others than when it was loaded.
        is_refused: whether an operator unloaded it.
        is_shadow: whether it answers nobody.
    """

    model: str
    version: int
    status: VersionStatus | None
    seen: Seen | None
    labels: tuple[str, ...]
    shares: Mapping[str, float]
    is_default: bool
    is_changed: bool
    is_refused: bool
    is_shadow: bool


def overview(keeper: Keeper, model: str = "") -> tuple[VersionOverview, ...]:
    """All versions that are known or lie in the repository; of one model where it is named."""
    versions = keeper.versions
    statuses = {(each.name, each.version): each for each in versions.statuses()}
    defaults = {_default(keeper, name) for name, _ in statuses}
    return tuple(
        VersionOverview(
            *key,
            status=statuses.get(key),
            seen=keeper.seen.get(key),
            labels=versions.labels.on(*key),
            shares=versions.labels.shares(*key),
            is_default=key in defaults,
            is_changed=keeper.has_changed(key),
            is_refused=refuses(keeper, key),
            is_shadow=versions.shadows.has(*key),
        )
        for key in sorted({*statuses, *keeper.seen})
        if model in ("", key[0])
    )


def refuses(keeper: Keeper, key: Key) -> bool:
    """Whether an operator has unloaded a version."""
    return key[0] in keeper.stopped or keeper.said.get(key[0], {}).get(key[1]) is False


def _default(keeper: Keeper, model: str) -> Key | None:
    """The version that answers those who name neither version nor label."""
    status = keeper.versions.find(ModelSelector(model))
    is_shadow = keeper.versions.shadows.has(model, status.version)
    is_ready = status.state is VersionState.READY and not is_shadow
    return (model, status.version) if is_ready else None


def is_as_ordered(keeper: Keeper) -> bool:
    """Whether nothing answers because operators want nothing: no version failed."""
    is_refused = bool(keeper.stopped) or any(
        False in each.values() for each in keeper.said.values()
    )
    failed = [s for s in keeper.versions.statuses() if s.state is VersionState.FAILED]
    return is_refused and not failed
