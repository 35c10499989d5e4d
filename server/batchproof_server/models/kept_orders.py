"""What operators ordered, as a file keeps it from one start of the server to the next. Pure."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.errors import cut
from batchproof_server.base.validation import (
    NO_UNKNOWN_KEYS,
    parse_document,
    read_by,
)
from batchproof_server.models.coming_labels import MOST_LABELS, check_label
from batchproof_server.models.selection import Labels
from batchproof_server.models.weighted_versions import (
    MOST_VERSION,
    Target,
    WeightedVersions,
    read_target,
    versions_in,
    weights_of,
)


def _read_moved(value: object) -> Target | None:
    return None if value is None else read_target(value)


_MaybeTarget: TypeAlias = Annotated[Target | None, read_by(_read_moved)]


@dataclass(frozen=True, slots=True)
class MovedLabel:
    """A label that stands for something else than the configuration says.

    Attributes:
        now: what it stands for; None where it was removed.
        configured: what the configuration said then; None where it said nothing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    now: _MaybeTarget
    configured: _MaybeTarget


@dataclass(frozen=True, slots=True)
class MovedShadow:
    """Another shadow than the configuration says.

    Attributes:
        now: its version; None where it was ended.
        configured: what the configuration said then; None where it said nothing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    now: int | None
    configured: int | None


@dataclass(frozen=True, slots=True)
class ModelOrders:
    """What was ordered about one model.

    Attributes:
        loaded: versions that were asked for, whatever the policy says.
        unloaded: versions that are not wanted.
        stopped: whether nothing of it is wanted.
        labels: that were moved, by their names.
        shadow: where another one was set; None where that of the configuration holds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    loaded: tuple[int, ...] = ()
    unloaded: tuple[int, ...] = ()
    stopped: bool = False
    labels: Mapping[str, MovedLabel] = field(default_factory=dict)
    shadow: MovedShadow | None = None

    def __post_init__(self) -> None:
        for version in (*self.loaded, *self.unloaded):
            if not 1 <= version <= MOST_VERSION:
                raise ValueError(f"a version is {version}, expected 1 or more")
        if both := set(self.loaded) & set(self.unloaded):
            raise ValueError(f"version {min(both)} is to be loaded and unloaded, expected one")
        if len(self.labels) > MOST_LABELS:
            raise ValueError(f"{len(self.labels)} labels, expected {MOST_LABELS} at most")
        for label in self.labels:
            try:
                check_label(label)
            except Exception as fault:
                raise ValueError(str(fault)) from fault


@dataclass(frozen=True, slots=True)
class KeptOrders:
    """What was ordered about all models, by their names."""

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    format: Literal[1] = 1
    models: Mapping[str, ModelOrders] = field(default_factory=dict)


MAX_ORDERS_BYTES: Final = 1 << 20


def read_orders(text: str) -> KeptOrders:
    """The orders in the text of a file.

    Raises:
        InvalidSettings: with every fault.
    """
    return parse_document(KeptOrders, text)


def orders_text(orders: KeptOrders) -> str:
    """The text of the file."""
    models = {name: _model_form(each) for name, each in orders.models.items()}
    form = {"format": orders.format, "models": models}
    return json.dumps(form, indent=2, sort_keys=True) + "\n"


def _model_form(orders: ModelOrders) -> dict[str, Any]:
    form: dict[str, Any] = {
        "loaded": orders.loaded,
        "unloaded": orders.unloaded,
        "stopped": orders.stopped,
        "labels": {
            label: {"now": _target_form(moved.now), "configured": _target_form(moved.configured)}
            for label, moved in orders.labels.items()
        },
    }
    if (shadow := orders.shadow) is not None:
        form["shadow"] = {"now": shadow.now, "configured": shadow.configured}
    return {key: value for key, value in form.items() if value}


def _target_form(target: Target | None) -> object:
    return weights_of(target) if isinstance(target, WeightedVersions) else target


@dataclass(frozen=True, slots=True)
class Restored:
    """What is wanted at the start: what the configuration says, and what was ordered since.

    Attributes:
        labels: of all models.
        shadows: of the models that have one.
        said: of a version whether it is wanted, by model.
        stopped: the models of which nothing is wanted.
        ignored: orders that can be followed no more, a sentence each.
    """

    labels: dict[str, dict[str, Target]]
    shadows: dict[str, int]
    said: dict[str, dict[int, bool]] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    ignored: list[str] = field(default_factory=list)


# Contract
#
# An order holds until the configuration says something else about the same label or shadow than it
# said then. One about a version or a model that is not there is ignored and told. What comes out
# can be served: each label and shadow is for versions that were found, no label is for a shadow,
# and no version that is not wanted has a label.
def restore(
    orders: KeptOrders,
    labels: Labels,
    shadows: Mapping[str, int],
    found: Collection[tuple[str, int]],
) -> Restored:
    """Puts orders and configuration together.

    Args:
        orders: that were kept.
        labels: of the configuration.
        shadows: of the configuration.
        found: the versions that lie in the repository, by model and number.
    """
    result = Restored({name: dict(each) for name, each in labels.items()}, dict(shadows))
    for name, each in sorted(orders.models.items()):
        versions = {version for model, version in found if model == name}
        if not versions:
            result.ignored.append(f'model "{cut(name)}" is not in the repository')
            continue
        _restore_labels(result, name, each.labels, versions, shadows.get(name))
        _restore_shadow(result, name, each.shadow, versions, shadows.get(name))
        _restore_versions(result, name, each, versions)
    return result


def _restore_labels(
    result: Restored,
    name: str,
    moved: Mapping[str, MovedLabel],
    versions: set[int],
    shadow: int | None,
) -> None:
    labels = result.labels.setdefault(name, {})
    for label, order in sorted(moved.items()):
        if labels.get(label) != order.configured:
            continue  # the configuration has said something else since
        if order.now is None:
            labels.pop(label, None)
            continue
        what = f'the label "{cut(label)}" of model "{cut(name)}"'
        wanted = weights_of(order.now).keys()
        if missing := wanted - versions:
            result.ignored.append(f"{what} was for version {min(missing)}, which is not there")
        elif shadow in wanted:
            result.ignored.append(f"{what} was for version {shadow}, which is a shadow now")
        else:
            labels[label] = order.now


def _restore_shadow(
    result: Restored,
    name: str,
    order: MovedShadow | None,
    versions: set[int],
    configured: int | None,
) -> None:
    if order is None or order.configured != configured:
        return
    what = f'the shadow of model "{cut(name)}" was version {order.now}'
    labelled = versions_in(result.labels.get(name, {}).values())
    if order.now is None:
        result.shadows.pop(name, None)
    elif order.now not in versions:
        result.ignored.append(f"{what}, which is not there")
    elif order.now in labelled:
        result.ignored.append(f"{what}, for which a label stands now")
    else:
        result.shadows[name] = order.now


def _restore_versions(result: Restored, name: str, orders: ModelOrders, versions: set[int]) -> None:
    if orders.stopped:
        result.stopped.add(name)
    labelled = versions_in(result.labels.get(name, {}).values())
    said = dict.fromkeys(orders.loaded, True) | dict.fromkeys(orders.unloaded, False)
    for version, is_wanted in sorted(said.items()):
        word = "loaded" if is_wanted else "unloaded"
        what = f'version {version} of model "{cut(name)}" was {word}'
        if version not in versions:
            result.ignored.append(f"{what} and is not there")
        elif not is_wanted and version in labelled:
            result.ignored.append(f"{what}, and a label stands for it now")
        else:
            result.said.setdefault(name, {})[version] = is_wanted
