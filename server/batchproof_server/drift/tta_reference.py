"""The test-time augmentation whose signals a profile holds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.errors import cut
from batchproof_server.base.validation import NO_UNKNOWN_KEYS

TTA_SIGNALS: Final = ("tta_flip_rate", "tta_mutual_information")
"""What views disagree about depends on the views, so these hold for one policy only."""

_LEAST_VIEWS: Final = 2


# Contract: two of them with equal digests and weights make the same signals of a picture, but for
# random views, whose seed changes no distribution.
@dataclass(frozen=True, slots=True)
class TtaReference:
    """One policy of the model that answered the reference.

    Attributes:
        policy: its name.
        policy_digest: of views, aggregation and early exit, as answers carry it.
        views: in canonical form, two or more.
        aggregation: in canonical form.
        early_exit: None where every row sees every view.
        weights: one for each view when the aggregation is ``weighted``; else none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    policy: str
    policy_digest: str
    views: tuple[str, ...]
    aggregation: str
    early_exit: float | None
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.views) < _LEAST_VIEWS:
            raise ValueError(f"{len(self.views)} view(s), expected {_LEAST_VIEWS} or more")
        if self.weights and len(self.weights) != len(self.views):
            raise ValueError(f"{len(self.weights)} weights for {len(self.views)} views")

    def holds_for(self, policy_digest: str, weights: tuple[float, ...]) -> bool:
        """Whether an answer with these views, under whatever name, can be compared with it."""
        return (policy_digest, weights) == (self.policy_digest, self.weights)


def signal_faults(tta: TtaReference | None, signals: Iterable[str]) -> Iterator[str]:
    """Both signals stand beside the policy that they hold for, or there is neither."""
    there = [name for name in TTA_SIGNALS if name in signals]
    if tta is None and there:
        yield f"tta: missing, expected the policy that {' and '.join(there)} hold for"
    if tta is not None and len(there) < len(TTA_SIGNALS):
        lacking = " and no ".join(name for name in TTA_SIGNALS if name not in there)
        yield f"signals: no {lacking}, expected beside tta"


def unfit_tta(tta: TtaReference, policies: Mapping[str, TtaReference]) -> Iterator[str]:
    """Why a model with these policies never gives an answer that compares: one sentence or none."""
    name = cut(tta.policy, 40)
    if tta.policy not in policies:
        known = ", ".join(policies) or "none"
        yield f'its TTA policy "{name}" is unknown to the bundle, one of {known}; build it again'
    elif policies[tta.policy] != tta:
        yield (
            f'its TTA policy "{name}" has other views, aggregation, early exit or weights than '
            "the bundle's; build it again"
        )


def difference(one: TtaReference | None, other: TtaReference | None) -> str:
    """A sentence about two that are not equal."""
    names = ["none" if each is None else f'"{cut(each.policy, 40)}"' for each in (one, other)]
    if names[0] == names[1]:
        return f"their TTA policies {names[0]} have other views, aggregation, early exit or weights"
    return f"their TTA policies are {names[0]} and {names[1]}, expected the same"
