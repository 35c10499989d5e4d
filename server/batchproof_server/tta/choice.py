"""What a request asks for, against what a model allows: the plan."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.meaning import MOST_PROBABLE, Meaning
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.tta.aggregation import WEIGHTED, Aggregation, parse_aggregation
from batchproof_server.tta.plan import CUSTOM, Plan
from batchproof_server.tta.policies import NO_TTA_SETTINGS, NONE, TtaSettings, unknown_policy
from batchproof_server.tta.views import View, parse_views
from batchproof_server.tta.weights import WEIGHTS_NAME, FittedWeights, mismatches


@dataclass(frozen=True, slots=True)
class TtaRequest:
    """What a request says about augmentation, unchecked.

    Attributes:
        policy: a name; empty for the views, or else the model's default.
        views: as ``parse_view`` reads them; empty for the policy's.
        aggregation: as ``parse_aggregation`` reads it; empty for the policy's.
        early_exit: None for the policy's.
        seed: None for the policy's.
    """

    policy: str = ""
    views: tuple[str, ...] = ()
    aggregation: str = ""
    early_exit: float | None = None
    seed: int | None = None


# Contract: immutable. Whatever it returns is within ``settings.max_views``.
@dataclass(frozen=True, slots=True)
class Choice:
    """The policies of one model version. Made by ``choice_of``.

    Attributes:
        settings: the manifest's.
        plans: every policy that may be asked for, by name.
        default: the plan of a request that asks for nothing.
        takes_views: whether a request may name views itself.
        fitted: the weights beside the model, if any.
        meaning: of the model's probabilities.
    """

    settings: TtaSettings
    plans: Mapping[str, Plan]
    default: Plan
    takes_views: bool
    fitted: FittedWeights | None
    meaning: Meaning = MOST_PROBABLE

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a plan may carry."""
        return (*self.plans, CUSTOM) if self.takes_views else tuple(self.plans)

    def plan(self, asked: TtaRequest | None) -> Plan:
        """What a request comes to.

        Raises:
            InvalidInput: the policy, a view, the aggregation or a number is unknown, not allowed or
                out of range; the text says what came and what is known.
        """
        if asked is None:
            return self.default
        try:
            return self._with_options(self._base(asked), asked)
        except ValueError as fault:
            raise InvalidInput(f"options.tta: {fault}") from fault

    def _base(self, asked: TtaRequest) -> Plan:
        if asked.policy and asked.views:
            raise ValueError("policy and views are both given, expected one of them")
        if asked.views:
            return self._custom(asked.views)
        if not asked.policy:
            return self.default
        if asked.policy not in self.plans:
            raise ValueError(unknown_policy(asked.policy, self.plans))
        return self.plans[asked.policy]

    def _custom(self, texts: tuple[str, ...]) -> Plan:
        if not self.takes_views:
            raise ValueError(
                f"the model takes no views, expected a policy: one of {', '.join(self.plans)}"
            )
        self._check_count(len(texts))  # each stands for one view or more
        views = parse_views(texts)
        self._check_count(len(views))
        return Plan(CUSTOM, views, meaning=self.meaning)

    def _check_count(self, views: int) -> None:
        if views > self.settings.max_views:
            raise ValueError(f"{views} views of a row, expected at most {self.settings.max_views}")

    def _with_options(self, base: Plan, asked: TtaRequest) -> Plan:
        early_exit = base.early_exit if asked.early_exit is None else asked.early_exit
        seed = base.seed if asked.seed is None else asked.seed
        if not asked.aggregation:
            return replace(base, early_exit=early_exit, seed=seed)
        return replace(
            self._aggregated(base, parse_aggregation(asked.aggregation)),
            early_exit=early_exit,
            seed=seed,
        )

    def _aggregated(self, base: Plan, aggregation: Aggregation) -> Plan:
        if aggregation == base.aggregation:
            return base
        if aggregation != WEIGHTED:
            return replace(base, aggregation=aggregation, weights=(), weights_digest="")
        if self.fitted is None or self.fitted.policy != base.policy:
            raise ValueError(
                f'the policy "{base.policy}" has no weights for the aggregation "weighted"'
            )
        return _weighted(base, self.fitted)

    def warnings(self, views: tuple[View, ...]) -> tuple[str, ...]:
        """What a caller should know of these views: none or one sentence."""
        safe = self.settings.safe_views
        unsafe = [view.text for view in views if view.may_change_label and view.name not in safe]
        if not unsafe:
            return ()
        names = ", ".join(dict.fromkeys(unsafe))
        warning = (
            f"{names}: may show something else than the picture does (text, digits, left and "
            "right); the manifest does not list it in tta.safe_views"
        )
        return (warning,)


def choice_of(
    settings: TtaSettings,
    fitted: FittedWeights | None,
    model_digest: str,
    recipe_digest: str,
    meaning: Meaning = MOST_PROBABLE,
) -> Choice:
    """Compiles the policies of a model version.

    Args:
        settings: the manifest's table, or its defaults.
        fitted: from ``tta_weights.json``.
        model_digest: of the artefact.
        recipe_digest: empty for a model that takes tensors only.
        meaning: of the model's probabilities.

    Raises:
        InvalidSettings: the fitted weights belong to something else, a policy lacks its weights, or
            counts votes where a threshold decides.
    """
    faults = () if fitted is None else _fitted_faults(settings, fitted, model_digest, recipe_digest)
    if faults:
        raise InvalidSettings(tuple(f"{WEIGHTS_NAME}: {fault}" for fault in faults))
    lacking = [
        name
        for name, policy in settings.policies.items()
        if policy.needs_fitted_weights and (fitted is None or fitted.policy != name)
    ]
    if lacking:
        raise InvalidSettings(
            tuple(
                f'tta.policies.{name}: the aggregation "weighted" needs weights, expected the key '
                f"weights or a {WEIGHTS_NAME} fitted to this policy"
                for name in lacking
            )
        )
    try:
        plans = {
            name: replace(_declared(settings, name, fitted), meaning=meaning)
            for name in allowed_policies(settings)
        }
    except ValueError as fault:
        raise InvalidSettings((f"tta.policies: {fault}",)) from fault
    return Choice(
        settings=settings,
        plans=plans,
        default=plans[settings.default],
        takes_views=settings.allowed is None or CUSTOM in settings.allowed,
        fitted=fitted,
        meaning=meaning,
    )


def allowed_policies(settings: TtaSettings) -> tuple[str, ...]:
    """The names of the policies that may be asked for."""
    return tuple(name for name in settings.known if _is_allowed(settings, name))


def _is_allowed(settings: TtaSettings, name: str) -> bool:
    if len(settings.known[name].plan(name).views) > settings.max_views:
        return False
    return settings.allowed is None or name in (*settings.allowed, NONE, settings.default)


def _declared(settings: TtaSettings, name: str, fitted: FittedWeights | None) -> Plan:
    policy = settings.known[name]
    plan = policy.plan(name)
    return _weighted(plan, fitted) if policy.needs_fitted_weights and fitted else plan


def _weighted(plan: Plan, fitted: FittedWeights) -> Plan:
    return replace(plan, aggregation=WEIGHTED, weights=fitted.weights, weights_digest=fitted.digest)


def _fitted_faults(
    settings: TtaSettings, fitted: FittedWeights, model_digest: str, recipe_digest: str
) -> tuple[str, ...]:
    policy = settings.known.get(fitted.policy)
    if policy is None:
        known = ", ".join(settings.known)
        return (f'policy: unknown "{cut(fitted.policy, 40)}", one of {known}',)
    if policy.weights is not None:
        return (f'policy: the manifest names weights for "{fitted.policy}" too',)
    views = tuple(view.text for view in policy.plan(fitted.policy).views)
    return mismatches(fitted, model_digest, recipe_digest, views)


SERVER_CHOICE: Final = choice_of(NO_TTA_SETTINGS, None, "", "")
"""The policies of a model whose manifest says nothing."""
