"""Test-time augmentation in the messages of ``batchproof.v1``; no logic."""

from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.models.served import ServedModel
from batchproof_server.tta.choice import TtaRequest
from batchproof_server.tta.combining import Augmentation
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.result import RowResult


def read_tta(message: pb.TestTimeAugmentation) -> TtaRequest:
    """What the caller says about test-time augmentation."""
    return TtaRequest(
        policy=message.policy,
        views=tuple(message.views),
        aggregation=message.aggregation,
        early_exit=message.early_exit if message.HasField("early_exit") else None,
        seed=message.seed if message.HasField("seed") else None,
    )


def write_augmentation(message: pb.Augmentation, augmentation: Augmentation) -> None:
    """What was done to the rows of a request."""
    plan = augmentation.plan
    message.policy = plan.policy
    message.views.extend(view.text for view in plan.views)
    message.aggregation = plan.aggregation.text
    if plan.early_exit is not None:
        message.early_exit = plan.early_exit
    message.policy_digest = plan.digest
    message.weights_digest = plan.weights_digest
    message.seed = plan.seed
    message.warnings.extend(augmentation.warnings)


def write_row_augmentation(
    message: pb.RowAugmentation, result: RowResult, asked: pb.TestTimeAugmentation
) -> None:
    """How the views of a row agreed."""
    message.views_executed = len(result.views)
    message.exited_early = result.exited_early
    message.flip_rate = result.flip_rate
    message.mutual_information = result.mutual_information
    message.confidence_stddev = result.confidence_stddev
    if not asked.return_views:
        return
    for place, view in enumerate(result.views):
        message.views.add(
            view=view.text,
            weight=result.weights[place],
            probabilities=result.view_probabilities[place].tolist(),
        )


def write_policies(response: pb.GetModelResponse, served: ServedModel) -> None:
    """What a request may ask for."""
    choice = served.loaded.tta
    for name, plan in choice.plans.items():
        _write_policy(response.tta_policies.add(name=name), plan, choice.warnings(plan.views))
    response.tta_default_policy = choice.default.policy
    response.tta_limits.max_views = choice.settings.max_views
    response.tta_limits.max_request_views = served.max_request_views
    response.tta_limits.takes_views = choice.takes_views


def _write_policy(message: pb.TtaPolicy, plan: Plan, warnings: tuple[str, ...]) -> None:
    message.views.extend(view.text for view in plan.views)
    message.aggregation = plan.aggregation.text
    if plan.early_exit is not None:
        message.early_exit = plan.early_exit
    message.policy_digest = plan.digest
    message.weights_digest = plan.weights_digest
    message.warnings.extend(warnings)
