"""Test-time augmentation in the parameters of the Open Inference Protocol v2."""

from batchproof.compat import inference_pb2 as pb
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.rpc.open_inference.options import Parameters
from batchproof_server.tta.choice import TtaRequest
from batchproof_server.tta.combining import Augmentation

_POLICY = "tta"
_OPTIONS = ("tta_views", "tta_aggregation", "tta_early_exit", "tta_seed")
# The views of a policy hold commas themselves.
_BETWEEN_VIEWS = ";"


def read_tta(parameters: Parameters) -> TtaRequest | None:
    """What the parameters say about augmentation; None when that is nothing.

    Raises:
        InvalidInput: a parameter is in the wrong field, or one that begins with ``tta_`` is none of
            those that are known.
    """
    for name in parameters:
        if name.startswith("tta_") and name not in _OPTIONS:
            known = ", ".join((_POLICY, *_OPTIONS))
            raise InvalidInput(f'unknown parameter "{cut(name)}", expected one of {known}')
    views = _text(parameters, "tta_views")
    asked = TtaRequest(
        policy=_text(parameters, _POLICY),
        views=tuple(view.strip() for view in views.split(_BETWEEN_VIEWS)) if views else (),
        aggregation=_text(parameters, "tta_aggregation"),
        early_exit=_share(parameters, "tta_early_exit"),
        seed=_whole(parameters, "tta_seed"),
    )
    return None if asked == TtaRequest() else asked


def write_tta(response: pb.ModelInferResponse, augmentation: Augmentation) -> None:
    """What was done to the rows of a request."""
    plan = augmentation.plan
    response.parameters["tta_policy"].string_param = plan.policy
    response.parameters["tta_policy_digest"].string_param = plan.digest
    response.parameters["tta_seed"].uint64_param = plan.seed
    if augmentation.warnings:
        response.parameters["tta_warnings"].string_param = "; ".join(augmentation.warnings)


def _given(parameters: Parameters, name: str, *fields: str) -> pb.InferParameter | None:
    """The parameter if it says something, in one of the fields expected."""
    parameter = parameters[name] if name in parameters else None  # noqa: SIM401 - get() is no read of a message map
    came = None if parameter is None else parameter.WhichOneof("parameter_choice")
    if came is not None and came not in fields:
        raise InvalidInput(f'parameter "{name}" is in {came}, expected {" or ".join(fields)}')
    return None if came is None else parameter


def _text(parameters: Parameters, name: str) -> str:
    parameter = _given(parameters, name, "string_param")
    return "" if parameter is None else parameter.string_param


def _share(parameters: Parameters, name: str) -> float | None:
    parameter = _given(parameters, name, "double_param")
    return None if parameter is None else parameter.double_param


def _whole(parameters: Parameters, name: str) -> int | None:
    parameter = _given(parameters, name, "int64_param", "uint64_param")
    if parameter is None:
        return None
    field = parameter.WhichOneof("parameter_choice")
    return parameter.int64_param if field == "int64_param" else parameter.uint64_param
