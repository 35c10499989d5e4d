"""What a request of the Open Inference Protocol v2 asks for beside its tensors."""

from collections.abc import Mapping

from batchproof.compat import inference_pb2 as pb
from batchproof_server.base.errors import InvalidInput, NotImplementedYet, cut
from batchproof_server.base.signature import Array
from batchproof_server.base.unguarded import unguarded
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.named_outputs import (
    LABEL,
    check_classifiable,
    classified,
    known_outputs,
    output,
    own_outputs,
)
from batchproof_server.serving.request import Prediction

Parameters = Mapping[str, pb.InferParameter]

_US_PER_S = 1_000_000
# Options that would change the answer or its time, and that this server cannot do. A parameter
# that it does not know is passed over, as Triton passes it on to a backend that does not read it.
_REFUSED = {
    "diagnosis": "a diagnosis takes seconds, ask for it with batchproof.v1's Diagnose",
    "priority": "a priority is asked for in the metadata, as x-batchproof-priority, expected 0",
    "sequence_id": "models here keep no state, expected no sequence",
}
_SHARED_MEMORY = "shared_memory_region"


@unguarded()
class WantedOutput:
    """One output of the answer.

    Attributes:
        top_k: labels a row; of a classified output, its best classes a row.
        is_classified: whether classes are asked for in the place of numbers.
    """

    name: str
    top_k: int = 1
    is_classified: bool = False

    def of(self, prediction: Prediction) -> Array:
        """The output of an answer."""
        if self.is_classified:
            return classified(prediction, self.name, self.top_k)
        return output(prediction, self.name, self.top_k)


def lowered_timeout_s(parameters: Parameters, timeout_s: float | None) -> float | None:
    """The caller's time, or the parameter ``timeout`` in microseconds when that is less.

    Raises:
        InvalidInput: the parameter is no whole number of 0 or more.
    """
    wanted_us = _integer(parameters, "timeout")
    if wanted_us is None or wanted_us == 0:
        return timeout_s
    if wanted_us < 0:
        raise InvalidInput(f'parameter "timeout" is {wanted_us} us, expected 0 or more')
    wanted_s = wanted_us / _US_PER_S
    return wanted_s if timeout_s is None else min(wanted_s, timeout_s)


def check_offered(request: pb.ModelInferRequest) -> None:
    """Refuses what this server cannot do.

    Raises:
        NotImplementedYet: an option that it knows by name, or shared memory.
    """
    for name, sentence in _REFUSED.items():
        if name in request.parameters and _is_set(request.parameters[name]):
            raise NotImplementedYet(f'parameter "{name}": {sentence}')
    inputs = [(tensor.name, tensor.parameters) for tensor in request.inputs]
    outputs = [(tensor.name, tensor.parameters) for tensor in request.outputs]
    for name, parameters in (*inputs, *outputs):
        if _SHARED_MEMORY in parameters:
            raise NotImplementedYet(
                f'"{cut(name)}" is in shared memory, expected it in the message'
            )


def _is_set(parameter: pb.InferParameter) -> bool:
    choice = parameter.WhichOneof("parameter_choice")
    return choice is not None and bool(getattr(parameter, choice))


def wanted_outputs(request: pb.ModelInferRequest, model: ServedModel) -> tuple[WantedOutput, ...]:
    """The outputs of the answer: those asked for, or else all that the model has.

    Raises:
        InvalidInput: an output is unknown, comes twice, or has no classes.
    """
    top_k = _top_k(request)
    if not request.outputs:
        return tuple(WantedOutput(name) for name in own_outputs(model))
    known = known_outputs(model)
    wanted: dict[str, WantedOutput] = {}
    for message in request.outputs:
        name = message.name
        if name not in known:
            names = ", ".join(f'"{each}"' for each in known)
            raise InvalidInput(
                f'unexpected inference output "{cut(name)}" for model "{model.name}", expected '
                f"one of {names}"
            )
        if name in wanted:
            raise InvalidInput(f'output "{name}" is asked for twice')
        wanted[name] = _wanted(message, model, top_k)
    return tuple(wanted.values())


def _wanted(
    message: pb.ModelInferRequest.InferRequestedOutputTensor, model: ServedModel, top_k: int
) -> WantedOutput:
    classes = _integer(message.parameters, "classification")
    if classes is None or classes == 0:
        return WantedOutput(message.name, top_k)
    check_classifiable(model, message.name, classes)
    return WantedOutput(message.name, classes, is_classified=True)


def _top_k(request: pb.ModelInferRequest) -> int:
    """How many labels a row gets."""
    top_k = _integer(request.parameters, "top_k")
    if top_k is None:
        return 1
    if top_k < 1:
        raise InvalidInput(f'parameter "top_k" is {top_k}, expected 1 or more')
    if LABEL not in [message.name for message in request.outputs]:
        raise InvalidInput(f'parameter "top_k" needs the output "{LABEL}", which is not asked for')
    return top_k


def _integer(parameters: Parameters, name: str) -> int | None:
    if name not in parameters:
        return None
    parameter = parameters[name]
    match parameter.WhichOneof("parameter_choice"):
        case "int64_param":
            return parameter.int64_param
        case "uint64_param":
            return parameter.uint64_param
        case other:
            raise InvalidInput(
                f'parameter "{name}" is in {other or "no field"}, expected int64_param'
            )
