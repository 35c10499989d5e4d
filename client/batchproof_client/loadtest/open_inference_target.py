"""The Open Inference Protocol v2 (KServe, Triton, MLServer): tensors in, tensors out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
import numpy as np

from batchproof_client.connection import Endpoint, open_channel
from batchproof_client.descriptions import TensorSpec
from batchproof_client.errors import LocalInputError, error_of
from batchproof_client.loadtest.items import Inputs, Item
from batchproof_client.loadtest.mix import Kind
from batchproof_client.loadtest.open_inference_messages import messages
from batchproof_client.loadtest.target import OK, Answer, Outcome

_SERVICE: Final = "/inference.GRPCInferenceService"
_DATATYPES: Final = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_NAMES: Final = {np.dtype(written).name: name for name, written in _DATATYPES.items()}


class OpenInferenceComposer:
    """Builds ModelInfer requests with raw contents.

    Args:
        models: the inputs of each model that the kinds name.
    """

    def __init__(self, models: Mapping[str | None, Sequence[TensorSpec]]) -> None:
        self._models = models

    def inputs_of(self, kind: Kind) -> Sequence[TensorSpec]:
        """The inputs of the kind's model."""
        return self._models[kind.model]

    def message(self, kind: Kind, inputs: Inputs) -> bytes:
        """Serialises a ModelInferRequest.

        Raises:
            LocalInputError: the inputs are pictures, or a tensor has a dtype that is not carried.
        """
        if inputs.tensors is None or kind.tta or kind.stream:
            raise LocalInputError(
                "the Open Inference Protocol carries tensors in single requests,"
                " expected --tensors without --tta and --stream"
            )
        name, version = _split(kind.model)
        request = messages().infer_request(model_name=name, model_version=version)
        for each, array in inputs.tensors.items():
            datatype = _NAMES.get(array.dtype.name)
            if datatype is None:
                raise LocalInputError(
                    f'input "{each}" is {array.dtype}, expected one of {", ".join(_NAMES)}'
                )
            request.inputs.add(name=each, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(
                array.astype(_DATATYPES[datatype], copy=False).tobytes()
            )
        return bytes(request.SerializeToString())


def _split(model: str | None) -> tuple[str, str]:
    name, _, version = (model or "").partition(":")
    if not name or "@" in name:
        raise LocalInputError(
            f'model is "{model or ""}", expected "name" or "name:3" for the Open Inference Protocol'
        )
    return name, version


async def describe_models(
    endpoint: Endpoint, kinds: Sequence[Kind], timeout_s: float
) -> dict[str | None, tuple[TensorSpec, ...]]:
    """Asks for the inputs of every model that the kinds name.

    Raises:
        BatchproofError: the server cannot be reached, or does not serve one.
        LocalInputError: a kind names no model.
    """
    requests = {kind.model: _split(kind.model) for kind in kinds}
    channel = open_channel(endpoint)
    call: Any = channel.unary_unary(
        f"{_SERVICE}/ModelMetadata",
        request_serializer=messages().metadata_request.SerializeToString,
        response_deserializer=messages().metadata_response.FromString,
    )
    async with channel:
        found = {}
        for model, (name, version) in requests.items():
            request = messages().metadata_request(name=name, version=version)
            try:
                response = await call(request, timeout=timeout_s, metadata=tuple(endpoint.metadata))
            except grpc.aio.AioRpcError as error:
                raise error_of(error.code(), error.details() or "") from error
            found[model] = tuple(_spec(each) for each in response.inputs)
        return found


def _spec(tensor: Any) -> TensorSpec:
    written = _DATATYPES.get(tensor.datatype)
    dtype = np.dtype(written).name if written else tensor.datatype
    return TensorSpec(name=tensor.name, dtype=dtype, shape=tuple(tensor.shape))


class OpenInferenceTarget:
    """One connection that speaks the Open Inference Protocol.

    Args:
        endpoint: the server.
        keep_answers: whether outcomes hold what must be identical.
    """

    def __init__(self, endpoint: Endpoint, *, keep_answers: bool) -> None:
        self._channel = open_channel(endpoint)
        self._metadata = tuple(endpoint.metadata)
        self._keep_answers = keep_answers
        self._infer: Any = self._channel.unary_unary(f"{_SERVICE}/ModelInfer")

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """Sends one item."""
        try:
            content = await self._infer(item.message, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code().name, detail=error.details() or "")
        return Outcome(OK, answer=answer_of(content) if self._keep_answers else None)

    async def close(self) -> None:
        """Cancels what is under way."""
        await self._channel.close()


def answer_of(content: bytes) -> Answer:
    """Takes what must be identical out of a serialised ModelInferResponse."""
    response = messages().infer_response.FromString(content)
    same = messages().infer_response(
        outputs=response.outputs, raw_output_contents=response.raw_output_contents
    )
    source = f"{response.model_name}:{response.model_version}"
    return Answer(source, bytes(same.SerializeToString(deterministic=True)))
