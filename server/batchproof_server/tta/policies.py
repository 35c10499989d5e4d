"""Policies: named views with their options, from the server and from a manifest's ``[tta]``."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.errors import cut
from batchproof_server.base.validation import NO_UNKNOWN_KEYS, InvalidSettings, checked_by
from batchproof_server.tta.aggregation import WEIGHTED, parse_aggregation
from batchproof_server.tta.plan import CUSTOM, Plan
from batchproof_server.tta.views import VIEW_PARAMETERS, parse_view, parse_views

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MAX_VIEWS: Final = 64

ViewText: TypeAlias = Annotated[str, checked_by(parse_view)]
AggregationText: TypeAlias = Annotated[str, checked_by(parse_aggregation)]


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """One table ``[tta.policies.<name>]``.

    Attributes:
        views: as ``parse_view`` reads them.
        aggregation: as ``parse_aggregation`` reads it; ``weighted`` needs weights, from here or
            fitted.
        early_exit: the default; None never stops early.
        weights: one for each view, ``five_crop`` counted as five; for ``weighted`` only.
        seed: the default of random views.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    views: tuple[ViewText, ...]
    aggregation: AggregationText = "mean"
    early_exit: float | None = None
    weights: tuple[float, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.plan("")

    @property
    def needs_fitted_weights(self) -> bool:
        """Whether it is ``weighted`` and names no weights."""
        return self.weights is None and parse_aggregation(self.aggregation) == WEIGHTED

    def plan(self, name: str) -> Plan:
        """The policy with its defaults; one that needs fitted weights has equal ones here.

        Raises:
            ValueError: a view, the aggregation or a number is refused.
        """
        views = parse_views(self.views)
        aggregation = parse_aggregation(self.aggregation)
        if self.weights is not None and aggregation != WEIGHTED:
            raise ValueError(f'weights need the aggregation "weighted", not "{aggregation.text}"')
        weights = (1.0,) * len(views) if self.needs_fitted_weights else self.weights or ()
        return Plan(name, views, aggregation, self.early_exit, weights, "", self.seed)


NAMED: Final[Mapping[str, PolicySettings]] = {
    "none": PolicySettings(("identity",)),
    "flip": PolicySettings(("identity", "hflip")),
    "d4": PolicySettings(
        ("identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse")
    ),
    "crops": PolicySettings(("identity", "five_crop(0.875)")),
    "light": PolicySettings(
        ("identity", "brightness(0.8)", "brightness(1.25)", "contrast(0.8)", "contrast(1.25)")
    ),
}
"""The policies that every model has: plain; mirrored; the eight symmetries of a square; plain and
five crops; other light."""

NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class TtaSettings:
    """The manifest's table ``[tta]``.

    Attributes:
        default: the policy of requests that ask for none.
        allowed: the policies that may be asked for, ``custom`` meaning views that the request names
            itself; None allows all. ``none`` and the default are always allowed.
        policies: the model's own, by name.
        safe_views: names of views that do not change what this model's pictures mean.
        max_views: the most views of a row.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    default: str = NONE
    allowed: tuple[str, ...] | None = None
    policies: Mapping[str, PolicySettings] = field(default_factory=dict)
    safe_views: tuple[str, ...] = ()
    max_views: int = 32

    def __post_init__(self) -> None:
        faults = tuple(self._faults())
        if faults:
            raise InvalidSettings(faults)

    @property
    def known(self) -> Mapping[str, PolicySettings]:
        """The server's policies and the model's own."""
        return {**NAMED, **self.policies}

    def _faults(self) -> Iterator[str]:
        if not 1 <= self.max_views <= MAX_VIEWS:
            yield f"max_views: {self.max_views}, expected 1 to {MAX_VIEWS}"
        for name, policy in self.policies.items():
            yield from (f"policies.{cut(name, 40)}: {fault}" for fault in self._own(name, policy))
        if self.default not in self.known:
            yield f"default: {unknown_policy(self.default, self.known)}"
        elif (views := len(self.known[self.default].plan("").views)) > self.max_views:
            yield f'default: "{self.default}" has {views} views, max_views is {self.max_views}'
        for place, name in enumerate(self.allowed or ()):
            if name not in {*self.known, CUSTOM}:
                yield f"allowed.{place}: {unknown_policy(name, (*self.known, CUSTOM))}"
        for place, name in enumerate(self.safe_views):
            if name not in VIEW_PARAMETERS:
                names = ", ".join(VIEW_PARAMETERS)
                yield f'safe_views.{place}: unknown view "{cut(name, 40)}", one of {names}'

    def _own(self, name: str, policy: PolicySettings) -> Iterator[str]:
        if not _NAME.fullmatch(name):
            yield "expected a name of a-z, 0-9, _ and -, at most 32 characters, a letter first"
        if name in NAMED or name == CUSTOM:
            yield "the name is the server's own"
        views = len(policy.plan("").views)
        if views > self.max_views:
            yield f"{views} views, max_views is {self.max_views}"


def unknown_policy(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known ones."""
    return f'unknown policy "{cut(name, 40)}", one of {", ".join(known)}'


NO_TTA_SETTINGS: Final = TtaSettings()
"""The table of a manifest that says nothing."""
