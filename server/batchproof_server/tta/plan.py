"""A plan: the views of one request, and what is made of them, with every option decided."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

from batchproof_server.base.meaning import MOST_PROBABLE, Meaning
from batchproof_server.tta.aggregation import MEAN, WEIGHTED, Aggregation
from batchproof_server.tta.noise import MAX_SEED
from batchproof_server.tta.views import IDENTITY, View, parse_view

CUSTOM: Final = "custom"
"""The name under which views that a request names itself are counted."""


# Contract: two plans with equal digests, weights and seeds answer a picture with the same bits.
@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to each picture of a request.

    Attributes:
        policy: its name, or ``custom``.
        views: of each row, one or more, ``five_crop`` already replaced.
        aggregation: what is made of them.
        early_exit: a row stops after its plain view when its best probability reaches this.
        weights: one for each view when the aggregation is ``weighted``; else none.
        weights_digest: of the fitted weights in use, in hexadecimal; empty without.
        seed: of random views.
        meaning: of the model's probabilities: what is the answer, and what views add up to.
        plain: the place of the first ``identity`` among the views.
        is_plain: whether it comes to the plain prediction.
    """

    policy: str
    views: tuple[View, ...]
    aggregation: Aggregation = MEAN
    early_exit: float | None = None
    weights: tuple[float, ...] = ()
    weights_digest: str = ""
    seed: int = 0
    meaning: Meaning = MOST_PROBABLE
    plain: int | None = field(init=False, repr=False, compare=False)
    is_plain: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.views:
            raise ValueError("views is empty, expected one or more")
        plain = self.views.index(IDENTITY) if IDENTITY in self.views else None
        object.__setattr__(self, "plain", plain)
        object.__setattr__(self, "is_plain", self.views == (IDENTITY,))
        if self.early_exit is not None:
            self._check_early_exit(self.early_exit)
        if self.aggregation.name == "blend" and self.plain is None:
            raise ValueError('the aggregation "blend" needs the view "identity"')
        if self.aggregation.name == "vote" and self.meaning.limit is not None:
            raise ValueError(
                f'the aggregation "vote" counts views, and the model decides at '
                f"{self.meaning.limit}; "
                'expected another, such as "mean"'
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed is {self.seed}, expected 0 to {MAX_SEED}")
        if self.aggregation == WEIGHTED:
            check_weights(self.weights, len(self.views))

    def _check_early_exit(self, early_exit: float) -> None:
        if not 0 < early_exit <= 1:
            raise ValueError(f"early_exit is {early_exit}, expected above 0 and at most 1")
        if self.plain is None:
            raise ValueError('early_exit needs the view "identity"')

    @property
    def shares(self) -> tuple[float, ...]:
        """What each view counts, with sum 1 but for rounding."""
        if self.aggregation == WEIGHTED:
            total = sum(sorted(self.weights))
            return tuple(weight / total for weight in self.weights)
        if self.aggregation.name == "blend" and len(self.views) > 1:
            beta = self.aggregation.numbers[0]
            other = (1 - beta) / (len(self.views) - 1)
            return tuple(beta if at == self.plain else other for at in range(len(self.views)))
        return (1 / len(self.views),) * len(self.views)

    @property
    def digest(self) -> str:
        """``policy_digest`` of the plan."""
        return policy_digest(self.views, self.aggregation, self.early_exit)


PLAIN: Final = Plan("none", (IDENTITY,))
"""The picture as it is, and nothing else."""


def pack_views(plan: Plan) -> bytes:
    """What another process has to know of a plan to make the rows of its views."""
    if plan.is_plain:
        return b""
    return json.dumps([plan.seed, *(view.text for view in plan.views)]).encode()


def unpack_views(text: bytes) -> Plan:
    """A plan with the views and the seed of the one that ``pack_views`` wrote."""
    if not text:
        return PLAIN
    seed, *views = json.loads(text)
    return Plan("", tuple(map(parse_view, views)), seed=seed)


def check_weights(weights: tuple[float, ...], views: int) -> None:
    """Returns when these can be the weights of so many views.

    Raises:
        ValueError: another number of them, one below 0 or not finite, or all 0.
    """
    if len(weights) != views:
        raise ValueError(f"{len(weights)} weight(s) for {views} view(s)")
    if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise ValueError("the weights must be 0 or above, finite, and not all 0")


def policy_digest(
    views: tuple[View, ...], aggregation: Aggregation, early_exit: float | None = None
) -> str:
    """SHA-256 of the canonical JSON of views, aggregation and early exit, in hexadecimal."""
    what = {
        "aggregation": aggregation.text,
        "early_exit": early_exit,
        "views": [view.text for view in views],
    }
    canonical = json.dumps(what, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
