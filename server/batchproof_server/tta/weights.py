"""``tta_weights.json``: the fitted weights of a policy, bound to model, recipe and views."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from batchproof_server.base.validation import (
    NO_UNKNOWN_KEYS,
    InvalidSettings,
    parse_settings,
    parser_says,
)
from batchproof_server.tta.aggregation import WEIGHTED
from batchproof_server.tta.plan import check_weights, policy_digest
from batchproof_server.tta.views import parse_views

WEIGHTS_NAME = "tta_weights.json"


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """What ``tta fit`` found out.

    Attributes:
        format: of the file; 1.
        model_digest: of the artefact whose answers were weighed.
        recipe_digest: of the recipe that made its rows.
        policy: the name of the policy.
        policy_digest: ``fitted_policy_digest`` of its views.
        views: the policy's, in their canonical text, ``five_crop`` replaced.
        weights: one for each view, 0 or above.
        method: how they were found, in a few words.
        rows: labelled pictures that they were found on.
        loss_before_nats: mean negative log likelihood with equal weights.
        loss_after_nats: the same with these.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    format: Literal[1]
    model_digest: str
    recipe_digest: str
    policy: str
    policy_digest: str
    views: tuple[str, ...]
    weights: tuple[float, ...]
    method: str
    rows: int
    loss_before_nats: float
    loss_after_nats: float

    def __post_init__(self) -> None:
        views = parse_views(self.views)
        if [view.text for view in views] != list(self.views):
            raise ValueError("views: not in canonical form")
        check_weights(self.weights, len(views))
        expected = fitted_policy_digest(self.views)
        if self.policy_digest != expected:
            raise ValueError(
                f"policy_digest is {self.policy_digest[:12]}, the views have {expected[:12]}"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        """The text of the file; ``parse_weights`` reads it back."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def fitted_policy_digest(views: tuple[str, ...]) -> str:
    """The digest that fitted weights are bound to: these views, weighted, without early exit."""
    return policy_digest(parse_views(views), WEIGHTED)


def parse_weights(text: str) -> FittedWeights:
    """Reads the text of a ``tta_weights.json``.

    Raises:
        ValueError: it is no JSON object or has faults; one line for each.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ValueError(parser_says(fault)) from fault
    if not isinstance(values, dict):
        raise InvalidSettings(("(root): not a JSON object",))
    return parse_settings(FittedWeights, values)


def mismatches(
    weights: FittedWeights, model_digest: str, recipe_digest: str, views: tuple[str, ...]
) -> tuple[str, ...]:
    """One line for each thing that the weights were fitted to and that is another now.

    Args:
        weights: from the file.
        model_digest: of the artefact beside the file.
        recipe_digest: of the recipe that serves it.
        views: canonical texts of the policy that the weights name.
    """
    now = {
        "model_digest": model_digest,
        "recipe_digest": recipe_digest,
        "policy_digest": fitted_policy_digest(views),
    }
    return tuple(
        f"{name}: fitted to {getattr(weights, name)[:12]}, the bundle has {has[:12]}"
        for name, has in now.items()
        if getattr(weights, name) != has
    )
