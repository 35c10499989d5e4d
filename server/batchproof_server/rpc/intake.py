"""From the tensors of other protocols to a request: form first, content only when that fits."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict

import numpy as np

from batchproof.tensors import TensorError, check_shape
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.signature import Array, Signature
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.calls import Call
from batchproof_server.serving.predictor import check_rows
from batchproof_server.serving.request import Caller, PredictRequest, Trace
from batchproof_server.tta.choice import TtaRequest

_BYTE_DTYPE = np.dtype(np.uint8)


class Incoming(Protocol):
    """One input of a request."""

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The element type; None when the elements are byte strings."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """As the caller says it; not checked yet."""
        ...

    def array(self) -> Array:
        """The elements, which are numbers.

        Raises:
            InvalidInput: the content does not fit dtype and shape.
        """
        ...

    def strings(self) -> Sequence[bytes]:
        """The elements, which are byte strings, in row-major order.

        Raises:
            InvalidInput: the content does not fit the shape.
        """
        ...


# Contract
#
# Nothing is read, and no memory is taken, for a tensor whose names, dtype, shape or rows the model
# does not take: a shape of a few bytes may speak of terabytes.
def read_request(
    model: ServedModel,
    inputs: Mapping[str, Incoming],
    call: Call,
    deadline_s: float,
    *,
    tta: TtaRequest | None = None,
) -> PredictRequest:
    """A request of tensors of numbers, or of byte strings as encoded pictures.

    Args:
        model: which version answers.
        inputs: by name.
        call: its number of rows becomes known.
        deadline_s: an instant of the clock.
        tta: what the request says about augmentation, which is of pictures only.

    Raises:
        InvalidInput: an input is missing, unknown, or of another dtype, shape or content; or
            numbers are to be augmented.
    """
    check_possible(inputs)
    trace = call.trace
    trace.rows = max((tensor.shape[0] for tensor in inputs.values() if tensor.shape), default=0)
    common: _Common = {"request_id": call.request_id, "caller": call.caller, "trace": trace}
    if any(tensor.dtype is None for tensor in inputs.values()):
        images, plan = _images(model, inputs), model.plan(tta)
        names_views = tta is not None or not plan.is_plain
        return PredictRequest(
            model, deadline_s, images=images, plan=plan, names_views=names_views, **common
        )
    if tta is not None:
        raise InvalidInput('parameter "tta": the inputs are numbers, expected encoded pictures')
    check_rows(model, check_form(model.loaded.backend.signature, inputs))
    tensors = {name: tensor.array() for name, tensor in inputs.items()}
    return PredictRequest(model, deadline_s, tensors=tensors, **common)


class _Common(TypedDict):
    request_id: str
    caller: Caller
    trace: Trace


def check_possible(inputs: Mapping[str, Incoming]) -> None:
    """Returns when every shape is one that an array may have.

    Raises:
        InvalidInput: one is not.
    """
    for name, tensor in inputs.items():
        try:
            check_shape(tensor.shape, tensor.dtype or _BYTE_DTYPE)
        except TensorError as fault:
            raise InvalidInput(f'input "{cut(name)}": {fault}') from fault


def check_form(signature: Signature, inputs: Mapping[str, Incoming]) -> int:
    """Returns the number of rows of what is possible; nothing of the content is read.

    Raises:
        InvalidInput: an input is missing, unknown, or of another dtype or shape.
    """
    # Arrays of any size that take no memory.
    forms = {
        name: np.broadcast_to(np.zeros((), tensor.dtype), tensor.shape)
        for name, tensor in inputs.items()
    }
    return signature.check(forms)


def _images(model: ServedModel, inputs: Mapping[str, Incoming]) -> Sequence[bytes]:
    name = model.loaded.backend.signature.inputs[0].name
    if model.loaded.recipe is None:
        raise InvalidInput(
            f'model "{model.name}" has no recipe for images, expected numbers, not byte strings'
        )
    if set(inputs) != {name}:
        came = ", ".join(f'"{cut(each)}"' for each in sorted(inputs))
        raise InvalidInput(f'inputs are {came}, expected exactly "{name}"')
    shape = inputs[name].shape
    if not 1 <= len(shape) <= _IMAGE_AXES or shape[1:] not in ((), (1,)):
        raise InvalidInput(
            f'input "{name}" is byte strings {list(shape)}, expected encoded pictures, [rows] or '
            "[rows, 1]"
        )
    check_rows(model, shape[0])
    return inputs[name].strings()


_IMAGE_AXES = 2
