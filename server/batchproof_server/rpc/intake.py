"""From the tensors of other protocols to a prediction: form first, content only when that fits."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from batchproof.tensors import TensorError, check_shape
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.signature import Array
from batchproof_server.models.served import ServedModel
from batchproof_server.rpc.calls import Call
from batchproof_server.serving.predictor import Engine, Prediction
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
async def predict(
    engine: Engine,
    model: ServedModel,
    inputs: Mapping[str, Incoming],
    call: Call,
    deadline_s: float,
    *,
    tta: TtaRequest | None = None,
) -> Prediction:
    """Answers tensors of numbers as they are, and byte strings as encoded pictures.

    Args:
        engine: answers.
        model: which version.
        inputs: by name.
        call: gets the number of rows.
        deadline_s: an instant of the clock.
        tta: what the request says about augmentation, which is of pictures only.

    Raises:
        InvalidInput: an input is missing, unknown, or of another dtype, shape or content; or
            numbers are to be augmented.
        QueueFull, Draining, DeadlineExceeded, BackendFailed: as the engine says.
    """
    _check_possible(inputs)
    call.rows = max((tensor.shape[0] for tensor in inputs.values() if tensor.shape), default=0)
    if any(tensor.dtype is None for tensor in inputs.values()):
        images = _images(engine, model, inputs)
        return await engine.predict_images(model, images, deadline_s, call.request_id, tta=tta)
    if tta is not None:
        raise InvalidInput('parameter "tta": the inputs are numbers, expected encoded pictures')
    _check_form(engine, model, inputs)
    tensors = {name: tensor.array() for name, tensor in inputs.items()}
    return await engine.predict_tensors(model, tensors, deadline_s, call.request_id)


def _check_possible(inputs: Mapping[str, Incoming]) -> None:
    for name, tensor in inputs.items():
        try:
            check_shape(tensor.shape, tensor.dtype or _BYTE_DTYPE)
        except TensorError as fault:
            raise InvalidInput(f'input "{cut(name)}": {fault}') from fault


def _check_form(engine: Engine, model: ServedModel, inputs: Mapping[str, Incoming]) -> None:
    # Arrays of any size that take no memory.
    forms = {
        name: np.broadcast_to(np.zeros((), tensor.dtype), tensor.shape)
        for name, tensor in inputs.items()
    }
    engine.check_rows(model, model.loaded.backend.signature.check(forms))


def _images(engine: Engine, model: ServedModel, inputs: Mapping[str, Incoming]) -> Sequence[bytes]:
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
    engine.check_rows(model, shape[0])
    return inputs[name].strings()


_IMAGE_AXES = 2
